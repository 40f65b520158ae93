"""Where sentences end: plain rules for prose with quotations, and a list of abbreviations."""

from __future__ import annotations

import re
from collections.abc import Iterator

_CLOSING = "\"'\N{RIGHT SINGLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK})]"
_MARK = re.compile(rf"[.!?]+[{re.escape(_CLOSING)}]*$")
_BREAK = re.compile(rf"(?<=[.!?])[{re.escape(_CLOSING)}]*\s+(?=[\"'\N{{LEFT DOUBLE QUOTATION MARK}}(\[]*[^\W\d_a-z])")
_BLANK_LINE = re.compile(r"\n\s*\n")
_ABBREVIATION = re.compile(r"(^|\W)(Mr|Mrs|Ms|Dr|St|Prof|Capt|Col|Gen|Rev|Hon|Esq|Jr|Sr|No|Vol|vs|etc|[A-HJ-Z])\.$")

_TAIL = 64
"""Characters that say whether a sentence ends: more than any mark and abbreviation have."""


def closes(text: str) -> bool:
    """Whether a sentence may end with `text`: a mark, quotes or brackets after it, and no abbreviation."""
    return bool(_MARK.search(text)) and not _ABBREVIATION.search(text)


def well_formed(text: str) -> bool:
    """Whether `text` ends as a sentence does, and each quotation in it is closed and has no space at its ends."""
    opened, closed = text.count("\N{LEFT DOUBLE QUOTATION MARK}"), text.count("\N{RIGHT DOUBLE QUOTATION MARK}")
    around_quotes = text.split('"')
    quoted = around_quotes[1::2]
    return (
        closes(text) and opened == closed and len(around_quotes) % 2 == 1 and all(q and q == q.strip() for q in quoted)
    )


def sentences(text: str) -> Iterator[str]:
    """The sentences of `text` in order, white space within them a single space; a rest without an end is left out."""
    for paragraph in _BLANK_LINE.split(text):
        start = 0
        line = " ".join(paragraph.split())
        for found in [*(match.end() for match in _BREAK.finditer(line)), len(line)]:
            if closes(line[max(start, found - _TAIL) : found].strip()):
                yield line[start:found].strip()
                start = found
