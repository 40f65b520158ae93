"""Lines: UTF-8 text read line by line, each with its number, bad ones reported by it.

A line is read no further than a limit, so a file without line ends cannot fill the memory; the price is about a
microsecond a line, a small part of what tokenizing it takes.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from lmkit.data.tally import Tally
from lmkit.errors import DataError

BOM = b"\xef\xbb\xbf"
DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
"""What a damaged gzip file raises."""
_SKIPPED_AT_ONCE = 1 << 20  # bytes of a too long line


def read_lines(
    path: Path, tally: Tally, *, longest_bytes: int, keep_bad_bytes: bool = False
) -> Iterator[tuple[int, str]]:
    r"""Number (from 1) and text of each line, which ends in "\n" (never "\r\n") but for a file's last.

    `keep_bad_bytes` turns bytes that are no UTF-8 into lone surrogates and lets NUL pass: for formats in which a
    record has several lines and is bad as a whole.  Raises DataError for a file that cannot be opened.
    """
    number = 0
    try:
        with open_bytes(path) as file:
            while line := file.readline(longest_bytes + 1):
                number += 1
                if len(line) > longest_bytes and not line.endswith(b"\n"):
                    _skip_line(file)
                    problem = f"{path}:{number}: the line is longer than {longest_bytes / 1e6:g} MB, the limit"
                    tally.leave_out("line too long", problem, "Break it up, or raise longest_line_mb in [data]")
                    continue
                if number == 1:
                    line = line.removeprefix(BOM)
                if line.endswith(b"\r\n"):
                    line = line[:-2] + b"\n"
                if keep_bad_bytes:
                    yield number, line.decode(errors="surrogateescape")
                    continue
                text = _decode(line, path, number, tally)
                if text is not None:
                    yield number, text
    except DAMAGED as error:
        problem = f"{path}:{number + 1}: the gzip file is damaged or cut off here: {str(error).rstrip('.')}"
        tally.leave_out("damaged gzip", problem, "Fetch it again")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def open_bytes(path: Path) -> IO[bytes]:
    """A file to read, unpacked where it is gzipped."""
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _skip_line(file: IO[bytes]) -> None:
    while (rest := file.readline(_SKIPPED_AT_ONCE)) and not rest.endswith(b"\n"):
        pass


def _decode(line: bytes, path: Path, number: int, tally: Tally) -> str | None:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        what = f"byte {error.start + 1} of the line, {line[error.start]:#04x}, is not UTF-8 ({error.reason})"
        tally.leave_out("invalid UTF-8", f"{path}:{number}: {what}", "Convert the file to UTF-8")
        return None
    if "\0" in text:
        what = f"byte {line.index(0) + 1} of the line is NUL, which no text has"
        tally.leave_out("NUL byte", f"{path}:{number}: {what}", "Remove it")
        return None
    return text
