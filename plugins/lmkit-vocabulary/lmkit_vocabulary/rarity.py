"""Which words of a text are unfamiliar: those that the tokenizer has in pieces.

A vocabulary of sub-words is learned by frequency, so that a word of one token was frequent in the tokenizer's corpus,
and one of many pieces rare: a list of frequent words that every run has with it.
"""

from __future__ import annotations

import re
from collections import Counter

import attrs

from lmkit.interfaces import Tokenizer

_WORD = re.compile(r"(?<![\w'’-])[^\W\d_]{3,}(?:['’-][^\W\d_]+)*(?![\w'’-])")


@attrs.frozen
class Unfamiliar:
    """A word of a text."""

    word: str
    count: int
    """How often the text has it."""
    pieces: int
    """Tokens of it, after a space."""


def unfamiliar(tokenizer: Tokenizer, text: str) -> list[Unfamiliar]:
    """The words of `text` that are of several pieces, the most pieces first; of three letters or more."""
    spelled: dict[str, str] = {}
    for found in _WORD.findall(text):
        known = spelled.setdefault(found.casefold(), found)
        if found < known:
            continue
        spelled[found.casefold()] = found  # in small letters, where the text has it so
    counts = Counter(found.casefold() for found in _WORD.findall(text))
    pieces = map(len, tokenizer.encode_batch([f" {word}" for word in spelled.values()]))
    found_words = [
        Unfamiliar(word, counts[folded], size) for (folded, word), size in zip(spelled.items(), pieces, strict=True)
    ]
    return sorted((word for word in found_words if word.pieces > 1), key=lambda word: -word.pieces)
