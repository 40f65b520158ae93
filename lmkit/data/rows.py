"""Rows: labelled data as dicts for a task, from tables as they are and from text as {"text": document}.

A row is held whole in memory; texts to pre-train on are read in pieces instead, by `corpus`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from lmkit.data.corpus import read_documents
from lmkit.data.files import find
from lmkit.data.settings import Data
from lmkit.data.tables import Row, read_table
from lmkit.data.tally import Tally


@attrs.frozen
class Unread:
    """What stands in place of a row that could not be read."""

    problem: str
    """A sentence that begins with "file:line: "."""


def read_or_report(paths: Iterable[Path], settings: Data) -> Iterator[Row | Unread]:
    """The rows of `read_rows`, with what is bad among them in its place, whatever `bad_input` says.

    Raises DataError for what cannot be read at all, such as a file that is not there.
    """
    tally = Tally("report")
    for row in read_rows(paths, settings, tally):
        yield from map(Unread, tally.reported())
        yield row
    yield from map(Unread, tally.reported())


def read_rows(paths: Iterable[Path], settings: Data, tally: Tally | None = None) -> Iterator[Row]:
    """The rows of all files that `paths` name, in order; each knows its `place` ("file:line") for messages.

    What is read and left out is counted in `tally`.  Raises DataError as `read_documents` does.
    """
    tally = tally if tally is not None else Tally(settings.bad_input)
    for file in find(paths, settings.format):
        if file.format == "text":
            held: list[str] = []
            for piece in read_documents([file], settings, tally):
                held.append(piece.text)
                if piece.ends_document:
                    yield Row({"text": "".join(held)}, str(file.path))
                    held = []
            continue
        tally.files += 1
        for row in read_table(file, tally, longest_bytes=int(settings.longest_line_mb * 1e6)):
            tally.documents += 1
            yield row
