"""Corpus: files and tables -> documents, as a stream of pieces that never holds more than one line and one piece.

    file --lines--> blank lines end a paragraph --> Piece, Piece(ends_document), Piece(ends_document), ...

A document longer than a piece is cut at a line's end.  A tokenizer that joins nothing across line ends gives the same
tokens as for the whole; another may differ by a token a cut, one in 65,536 characters.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import attrs

from lmkit.data.files import File
from lmkit.data.lines import read_lines
from lmkit.data.settings import Data
from lmkit.data.tables import Row, no_column, read_table
from lmkit.data.tally import Tally

PIECE_CHARACTERS = 1 << 16


@attrs.frozen
class Piece:
    """Whole lines of one document, and whether they are its last."""

    text: str
    bytes: int
    """Of the text in UTF-8."""
    ends_document: bool


def read_documents(files: Sequence[File], settings: Data, tally: Tally) -> Iterator[Piece]:
    """The documents of `files` in order; what is read and left out is counted in `tally`.

    A document is a file from its first line with text on, a paragraph, or a line; the last two without the line end
    behind them, and lines without text between them are no documents.  Each row of a table is taken as a file.
    Raises DataError for what cannot be read at all, and, unless it is to be skipped, for the first bad input.
    """
    for file in files:
        tally.files += 1
        for place, lines in _texts(file, settings, tally):
            empty = True
            for piece in _pieces(lines, settings.document):
                tally.bytes += piece.bytes
                tally.documents += piece.ends_document
                empty = False
                yield piece
            if empty:
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
    """Whether a share for validation holds out the document, or row, of this number, from 0."""
    digest = hashlib.blake2b(number.to_bytes(8, "little"), digest_size=8).digest()
    return int.from_bytes(digest, "little") < share * 2**64


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
