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
    found = _WORD.findall(text)
    counts = Counter(word.casefold() for word in found)
    spelled: dict[str, str] = {}
    for word in found:  # in small letters, where the text has it so
        spelled[word.casefold()] = max(word, spelled.get(word.casefold(), word))
    pieces = map(len, tokenizer.encode_batch([f" {word}" for word in spelled.values()]))
    words = [
        Unfamiliar(word, counts[folded], size)
        for (folded, word), size in zip(spelled.items(), pieces, strict=True)
        if size > 1
    ]
    return sorted(words, key=lambda word: -word.pieces)
