"""Words as people write them in rows, and whether a text has them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cached_property

import attrs

from lmkit.errors import DataError
from lmkit.parts.rows import text_of
from lmkit_vocabulary.inflections import forms


@attrs.frozen
class Word:
    """A word that a sentence has to have."""

    text: str
    forms: tuple[str, ...]
    """What counts as the word, itself first; upper and lower case count as one."""

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        spelled = sorted({form.lower() for form in self.forms}, key=len, reverse=True)
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, spelled))})(?!\w)", re.IGNORECASE)

    def find(self, text: str) -> str | None:
        """The first form of it in `text` that is a whole word there."""
        found = self._pattern.search(text)
        return found[0] if found else None


def words_of(row: Mapping[str, object], column: str, *, inflected: bool) -> list[Word]:
    """The words in a row's column, each once: a list of them, or a string with commas between.

    White space and punctuation around a word are left out.  Raises DataError for a word without a letter or digit, and
    where there is none.
    """
    given = row.get(column)
    if not isinstance(given, list):
        given = text_of(row, column).split(",")
    texts = [_trimmed(text_of({column: text}, column)) for text in given]
    for text, bare in zip(given, texts, strict=True):
        if not bare and text.strip():
            raise DataError(f'column "{column}": {text.strip()!r:.40} has no letter or digit: write words')
    unique: dict[str, str] = {}
    for text in filter(None, texts):
        unique.setdefault(text.casefold(), text)
    if not unique:
        raise DataError(f'column "{column}": no word in it: write at least one, commas between')
    return [Word(text, forms(text, inflected=inflected)) for text in unique.values()]


def _trimmed(text: str) -> str:
    """`text` without what is neither letter, mark nor digit at its ends, and single spaces within."""
    inside = [place for place, character in enumerate(text) if unicodedata.category(character)[0] in "LMN"]
    if not any(text[place].isalnum() for place in inside):
        return ""
    return " ".join(text[inside[0] : inside[-1] + 1].split())
