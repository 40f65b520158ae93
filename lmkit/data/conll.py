"""CoNLL: a word a line in columns, sentences apart by empty lines, as in CoNLL-2003, WikiGold and WNUT.

    EU      NNP  B-ORG
    rejects VBZ  O

Tjong Kim Sang and De Meulder 2003, "Introduction to the CoNLL-2003 Shared Task".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmkit.data.lines import read_lines
from lmkit.data.tally import Tally

_COLUMN = re.compile(r"[^ \t\r\n]+")  # other white space, such as a no-break space, may be part of a word
_DOCUMENT = "-DOCSTART-"


def read_conll(path: Path, tally: Tally, longest_bytes: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The place and the {"tokens": [...], "tags": [...]} of each sentence: its first column, and its last.

    A file of one column has no tags.  The first line says how many columns there are; a sentence with a line of
    another number, or with one that cannot be read, is left out whole through `tally`.
    """
    columns = 0
    first, last = 0, 0  # lines of the sentence, and of the file so far
    words: list[str] = []
    tags: list[str] = []
    spoiled = False
    known = 0  # what was left out when the last line came

    def sentence() -> Iterator[tuple[str, dict[str, Any]]]:
        if words and not spoiled:
            yield f"{path}:{first}", {"tokens": words, "tags": tags} if columns > 1 else {"tokens": words}

    # A line of bad bytes would be missing from its sentence; here they are kept, and the row as a whole is refused.
    for number, line in read_lines(path, tally, longest_bytes=longest_bytes, keep_bad_bytes=True):
        spoiled = spoiled or number > last + 1  # a line too long was left out
        last, known = number, sum(tally.skipped.values())
        found = [] if line.isspace() else _COLUMN.findall(line)
        if not found or found[0] == _DOCUMENT:
            yield from sentence()
            words, tags, spoiled = [], [], False
            continue
        columns = columns or len(found)
        if spoiled:
            continue
        if len(found) != columns:
            problem = f"{path}:{number}: {len(found)} columns, where the file's first line has {columns}"
            tally.leave_out("bad CoNLL", problem, "Repair the line")
            spoiled = True
            continue
        first = first if words else number
        words.append(found[0])
        tags.append(found[-1])
    spoiled = spoiled or sum(tally.skipped.values()) > known  # the file was cut off, and its last sentence with it
    yield from sentence()
