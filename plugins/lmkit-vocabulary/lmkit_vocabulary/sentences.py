"""Where sentences end: plain rules for prose with quotations, and a list of abbreviations."""

from __future__ import annotations

import re
from collections.abc import Iterator

_CLOSING = "\"'\N{RIGHT SINGLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK})]"
_MARK = re.compile(rf"[.!?]+[{re.escape(_CLOSING)}]*$")
_BREAK = re.compile(rf"(?<=[.!?])[{re.escape(_CLOSING)}]*\s+(?=[\"'\N{{LEFT DOUBLE QUOTATION MARK}}(\[]*[^\W\d_a-z])")
_BLANK_LINE = re.compile(r"\n\s*\n")
_ABBREVIATION = re.compile(r"(^|\W)(Mr|Mrs|Ms|Dr|St|Prof|Capt|Col|Gen|Rev|Hon|Esq|Jr|Sr|No|Vol|vs|etc|[A-HJ-Z])\.$")


def closes(text: str) -> bool:
    """Whether a sentence may end with `text`: a mark, quotes or brackets after it, and no abbreviation."""
    return bool(_MARK.search(text)) and not _ABBREVIATION.search(text)


def well_formed(text: str) -> bool:
    """Whether `text` ends as a sentence does and closes the quotations that it opens."""
    opened, closed = text.count("\N{LEFT DOUBLE QUOTATION MARK}"), text.count("\N{RIGHT DOUBLE QUOTATION MARK}")
    return closes(text) and text.count('"') % 2 == 0 and opened == closed


def sentences(text: str) -> Iterator[str]:
    """The sentences of `text` in order, white space within them a single space; a rest without an end is left out."""
    for paragraph in _BLANK_LINE.split(text):
        start = 0
        line = " ".join(paragraph.split())
        for found in [*(match.end() for match in _BREAK.finditer(line)), len(line)]:
            sentence = line[start:found].strip()
            if closes(sentence):
                yield sentence
                start = found
