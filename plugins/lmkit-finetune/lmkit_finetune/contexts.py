"""A question and its context as windows that an encoder can read, and the tokens that a gold answer has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from lmkit.batch import Example
from lmkit.errors import DataError
from lmkit.interfaces import Encoding, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.parts.rows import value_of
from lmkit_finetune.span import Passage
from lmkit_finetune.windows import Window

NOTHING = np.zeros(0, np.int64)


@attrs.frozen(eq=False)
class Asked:
    """A question and the text in which its answer is sought."""

    question: npt.NDArray[np.int64]
    context: str
    encoding: Encoding
    """Of the context."""


@attrs.frozen(eq=False)
class ContextWindow(Window):
    """A question with some of its context; the example's target says where that stands among the tokens."""

    asked: Asked
    passage: Passage
    begin: int
    """Number of the context's token that is the passage's first."""


@attrs.frozen
class Gold:
    """A gold answer, and the character of the context at which it starts."""

    text: str
    start: int


def context_windows(tokenizer: Tokenizer, asked: Asked, longest: int, stride: int) -> Iterator[ContextWindow]:
    """Windows of at most `longest` tokens, each with the question, that cover the context.

    Neighbours share `stride` tokens of the context, at most half of what a window holds of it.  A question that leaves
    less than half of a window for the context is cut.
    """
    room = longest - len(tokenizer.wrap(NOTHING, NOTHING).ids)
    question = asked.question[: room // 2]
    room -= len(question)
    ids = asked.encoding.ids
    step = room - min(stride, room // 2)
    for begin in range(0, max(1, len(ids) - room + step), step):
        piece = ids[begin : begin + room]
        wrapped = tokenizer.wrap(question, piece)
        passage = Passage(first=wrapped.second, stop=wrapped.second + len(piece))
        example = Example(tokens=wrapped.ids, lengths=(len(wrapped.ids),), segments=wrapped.segments, target=passage)
        yield ContextWindow(example, asked, passage, begin)


def with_answer(window: ContextWindow, spans: list[tuple[int, int]]) -> Example:
    """The window's example with the first of `spans`, tokens of the context, that lies within it whole, if one does."""
    shift = window.passage.first - window.begin
    inside = ((start + shift, end + shift) for start, end in spans)
    answer = next((s for s in inside if window.passage.first <= s[0] and s[1] < window.passage.stop), None)
    return attrs.evolve(window.example, target=attrs.evolve(window.passage, answer=answer))


def tokens_of(gold: Gold, asked: Asked, column: str) -> tuple[int, int]:
    """First and last of the context's tokens that have a character of the answer.

    Raises DataError where it has no token.
    """
    offsets = asked.encoding.offsets
    first = int(np.searchsorted(offsets[:, 1], gold.start, side="right"))
    last = int(np.searchsorted(offsets[:, 0], gold.start + len(gold.text))) - 1
    if first > last:
        raise DataError(f'column "{column}": answer "{gold.text:.40}" has no token')
    return first, last


def gold_of(row: Row, column: str, context: str | None) -> list[Gold]:
    """The gold answers in a row's `column`, as SQuAD nests them or as `datasets` does; none: it has no answer.

    Raises DataError where it is absent or has neither form, or where an answer does not stand in `context`, if there is
    one, at the character that it says.
    """
    given = value_of(row, column)
    pairs: list[Any] | None = None
    if isinstance(given, list):
        pairs = [(a.get("text"), a.get("answer_start")) if isinstance(a, dict) else (None, None) for a in given]
    elif isinstance(given, dict):
        texts, starts = given.get("text"), given.get("answer_start")
        if isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts):
            pairs = list(zip(texts, starts, strict=True))
    if pairs is None or not all(
        isinstance(text, str) and text and isinstance(start, int) and not isinstance(start, bool)
        for text, start in pairs
    ):
        raise DataError(
            f'column "{column}": wanted [{{"text": ..., "answer_start": ...}}, ...] or '
            f'{{"text": [...], "answer_start": [...]}}, got {given!r:.60}'
        )
    for text, start in pairs:
        if context is None:
            break
        found = context[start : start + len(text)] if start >= 0 else ""
        if found != text:
            raise DataError(
                f'column "{column}": answer "{text:.40}" is not at character {start} of the context, '
                f'which has "{found:.40}" there; answer_start counts characters from 0'
            )
    return [Gold(text, start) for text, start in pairs]
