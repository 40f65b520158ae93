"""Corpus: files and tables -> documents, as a stream of pieces that never holds more than one line and one piece.

    file --lines--> blank lines end a paragraph --> Piece, Piece(ends_document), Piece(ends_document), ...

A document longer than a piece is cut at a line's end.  A tokenizer that joins nothing across line ends gives the same
tokens as for the whole; another may differ by a token a cut, one in 65,536 characters.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Literal

import attrs

from lmkit.data.files import File
from lmkit.data.lines import read_lines
from lmkit.data.settings import Data
from lmkit.data.tables import Row, no_column, read_table
from lmkit.data.tally import Tally

PIECE_CHARACTERS = 1 << 16
_PARTS = 1_000_000  # of a whole, that a share may be told in


@attrs.frozen
class Piece:
    """Whole lines of one document, and whether they are its last."""

    text: str
    bytes: int
    """Of the text in UTF-8."""
    ends_document: bool


def read_documents(
    files: Sequence[File], settings: Data, tally: Tally, *, held_out: bool | None = None
) -> Iterator[Piece]:
    """The documents of `files` in order; what is read and left out is counted in `tally`.

    A document is a file from its first line with text on, a paragraph, or a line; the last two without the line end
    behind them, and lines without text between them are no documents.  Each row of a table is taken as a file.
    `held_out`: only what a share for validation holds out, or all but that.  It takes whole documents; where these are
    files, too few for one of them to be that share, it takes the last lines of each.
    Raises DataError for what cannot be read at all, and, unless it is to be skipped, for the first bad input.
    """
    share = settings.held_out
    if held_out is None or not share:
        yield from _read(files, settings, tally)
    elif settings.document == "file" and len(files) * share < 1 and all(file.format == "text" for file in files):
        yield from _read(files, settings, tally, ends=held_out)
    else:
        yield from hold_out(_read(files, settings, tally), share, held_out=held_out)


def _read(files: Sequence[File], settings: Data, tally: Tally, *, ends: bool | None = None) -> Iterator[Piece]:
    """`ends`: of each file only its last lines, the share for validation, or all but these."""
    for file in files:
        tally.files += 1
        for place, lines in _texts(file, settings, tally):
            empty, characters = True, 0
            if ends is not None:
                characters = _characters(file, settings)
                lines = _end(lines, characters, settings.held_out, taken=ends)
            for piece in _pieces(lines, settings.document):
                tally.bytes += piece.bytes
                tally.documents += piece.ends_document
                empty = False
                yield piece
            if empty and not characters:
                tally.leave_out("empty document", f"{place}: an empty document, where text is wanted", "Remove it")


def hold_out(pieces: Iterable[Piece], share: float, *, held_out: bool) -> Iterator[Piece]:
    """The pieces of those documents that a share for validation holds out, or of all others.

    A document's number in the corpus decides, through a hash: the same documents in every run.
    """
    number = 0
    chosen = is_held_out(number, share)
    for piece in pieces:
        if chosen == held_out:
            yield piece
        if piece.ends_document:
            number += 1
            chosen = is_held_out(number, share)


def is_held_out(number: int, share: float) -> bool:
    """Whether a share for validation holds out the document of this number, from 0: one of each 1 / `share` in a row.

    A hash says which of them; for a share of more than a half, which one of each is kept.
    """
    if share > 0.5:
        return not is_held_out(number, 1 - share)
    few, many = Fraction(share).limit_denominator(_PARTS).as_integer_ratio()
    row = number * few // many
    first, behind = -(-row * many // few), -(-(row + 1) * many // few)
    digest = hashlib.blake2b(row.to_bytes(8, "little"), digest_size=8).digest()
    return number == first + int.from_bytes(digest, "little") % (behind - first)


def _end(lines: Iterable[str], characters: int, share: float, *, taken: bool) -> Iterator[str]:
    """The lines of a text that reach into its last share, or those before."""
    read = 0
    for line in lines:
        read += len(line)
        if (read > characters * (1 - share)) == taken:
            yield line


def _characters(file: File, settings: Data) -> int:
    """Of a whole text file; its bad lines are told when they are read once more."""
    return sum(len(line) for _, lines in _texts(file, settings, Tally("skip")) for line in lines)


def _texts(file: File, settings: Data, tally: Tally) -> Iterator[tuple[str, Iterable[str]]]:
    """Each text of a file, as its place and its lines: the whole file, or one for each row."""
    longest_bytes = int(settings.longest_line_mb * 1e6)
    if file.format == "text":
        yield str(file.path), (line for _, line in read_lines(file.path, tally, longest_bytes=longest_bytes))
        return
    for row in read_table(file, tally, longest_bytes=longest_bytes, column=settings.column):
        text = _text(row, settings, tally)
        if text is not None:
            yield row.place, io.StringIO(text.replace("\r\n", "\n"), newline="\n")


def _text(row: Row, settings: Data, tally: Tally) -> str | None:
    column = settings.column
    text = row.get(column)
    if column not in row:
        tally.leave_out("missing column", f"{row.place}: {no_column(column, row)}", "Repair the row")
    elif not isinstance(text, str):
        problem = f'{row.place}: column "{column}" holds {_name(text)}, where text is wanted'
        tally.leave_out("value that is no text", problem, "Repair the row, or choose another column")
    elif len(text) > settings.longest_line_mb * 1e6:
        problem = f"{row.place}: the text is longer than {settings.longest_line_mb:g} MB, the limit"
        tally.leave_out("line too long", problem, "Break it up, or raise longest_line_mb in [data]")
    else:
        return text
    return None


def _name(value: object) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {value!r:.60}"


def _pieces(lines: Iterable[str], document: Literal["file", "paragraph", "line"]) -> Iterator[Piece]:
    held: list[str] = []
    size = 0
    began = False  # whether the document that is being read has text
    for line in lines:
        if line.isspace() and not (began and document == "file"):
            if held:
                yield _piece(held, document, ends=True)
                held, size, began = [], 0, False
            continue
        if size >= PIECE_CHARACTERS:
            yield _piece(held, document, ends=False)
            held, size = [], 0
        held.append(line)
        size += len(line)
        began = document != "line"
        if document == "line":
            yield _piece(held, document, ends=True)
            held, size = [], 0
    if held:
        yield _piece(held, document, ends=True)


def _piece(held: list[str], document: str, *, ends: bool) -> Piece:
    text = "".join(held)
    if ends and document != "file":
        text = text.removesuffix("\n")
    return Piece(text, len(text) if text.isascii() else len(text.encode()), ends)
