"""A row's words as sub-words, in windows that an encoder can read, each word in the midst of others."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby

import attrs
import numpy as np
import numpy.typing as npt

from lmkit.batch import Example
from lmkit.errors import DataError
from lmkit.interfaces import Tokenizer
from lmkit.interfaces.task import Row
from lmkit.parts.rows import text_of
from lmkit_finetune.windows import Window


@attrs.frozen(eq=False)
class Words:
    """The words of a row, and where they stand in its text, if it was given as a text."""

    words: list[str]
    text: str | None = None
    offsets: list[tuple[int, int]] = attrs.field(factory=list)


@attrs.frozen(eq=False)
class WordWindow(Window):
    """Some of a sentence's words, of which those in the midst are to be tagged."""

    words: npt.NDArray[np.int64]
    """[n] numbers of the words that are tagged here; those without a sub-word are not among them."""
    places: npt.NDArray[np.int64]
    """[n] the token by which each of them is tagged."""


def words_of(row: Row, column: str) -> Words:
    """The words in a row's `column`, a list, or a text to split at white space and punctuation.

    Raises DataError for a column that is absent, or a word that is no text.
    """
    given = row.get(column, "")
    if isinstance(given, str):
        text = text_of(row, column)
        offsets = list(_split(text))
        return Words([text[start:end] for start, end in offsets], text, offsets)
    if not isinstance(given, (list, tuple)):
        raise DataError(
            f'column "{column}": wanted a list of words, or a text, got {type(given).__name__} {given!r:.40}'
        )
    for number, word in enumerate(given, 1):
        if not isinstance(word, str):
            raise DataError(f'column "{column}", word {number}: wanted text, got {type(word).__name__} {word!r:.40}')
        try:
            word.encode()
        except UnicodeEncodeError:
            raise DataError(f'column "{column}", word {number}: half of a surrogate pair, in {word!r:.40}') from None
    return Words(list(given))


def pieces_of(tokenizer: Tokenizer, words: Sequence[str]) -> list[npt.NDArray[np.int64]]:
    """Each word's sub-words: those that it has after a space, as words within a sentence stand, the first without."""
    return tokenizer.encode_batch([word if not number else f" {word}" for number, word in enumerate(words)])


def word_windows(
    tokenizer: Tokenizer, pieces: Sequence[npt.NDArray[np.int64]], longest: int, *, last: bool
) -> Iterator[WordWindow]:
    """Windows of at most `longest` tokens in which every word that has `pieces` is tagged once.

    Where there are several, up to a quarter of a window stands before and after what is tagged in it; a word that is
    longer than what remains is cut.  A word is tagged by its first piece, or by its `last`.
    """
    room = longest - len(tokenizer.wrap(np.zeros(0, np.int64)).ids)
    context = room // 4
    pieces = [piece[: room - context] for piece in pieces]
    borders = np.cumsum([0, *map(len, pieces)])
    tagged = borders[1:] - 1 if last else borders[:-1]
    at, count = 0, len(pieces)
    while at < count:
        start = int(np.searchsorted(borders, borders[at] - context))
        stop = int(np.searchsorted(borders, borders[start] + room, side="right")) - 1
        following = count if stop == count else int(np.searchsorted(borders, borders[stop] - context, side="right")) - 1
        following = max(at + 1, following)
        words = at + np.flatnonzero(np.diff(borders[at : following + 1]))
        if len(words):
            wrapped = tokenizer.wrap(np.concatenate(pieces[start:stop]))
            example = Example(tokens=wrapped.ids, lengths=(len(wrapped.ids),), segments=wrapped.segments)
            yield WordWindow(example, words, wrapped.first + tagged[words] - borders[start])
        at = following


def _split(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each word: letters, digits and marks together, every other character by itself."""
    end = 0
    for kind, run in groupby(text, _kind):
        start, end = end, end + sum(1 for _ in run)
        if kind == "word":
            yield start, end
        elif kind == "mark":
            yield from ((place, place + 1) for place in range(start, end))


def _kind(character: str) -> str:
    if character.isspace():
        return "space"
    return "word" if unicodedata.category(character)[0] in "LNM" else "mark"
