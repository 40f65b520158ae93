"""What tasks do with rows: read a text from a column, answer rows in batches with errors in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from lmkit.errors import DataError

Read = TypeVar("Read")
Item = TypeVar("Item")

WAITING = 1024
"""Rows that wait for their batch at most, so that rows without tokens do not pile up."""


def value_of(row: Mapping[str, Any], column: str) -> Any:
    """What stands in a row's `column`; raises DataError where the row has no such column."""
    if column not in row:
        has = ", ".join(f'"{name}"' for name in row) or "nothing"
        raise DataError(f'no column "{column}"; the row has {has}')
    return row[column]


def has_value(row: Mapping[str, Any], column: str) -> bool:
    """Whether a row has something in `column`: neither null nor, as an empty cell of a table is read, an empty text."""
    value = row.get(column)
    return value is not None and not (isinstance(value, str) and not value)  # an array has no one truth


def text_of(row: Mapping[str, Any], column: str) -> str:
    """The text in a row's `column`; raises DataError where there is none, or where it is no valid Unicode."""
    text = value_of(row, column)
    if not isinstance(text, str):
        raise DataError(f'column "{column}": wanted text, got {type(text).__name__} {_short(text)}')
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            code = ord(text[error.start])
            raise DataError(
                f'column "{column}": character {error.start + 1} is a lone surrogate (U+{code:04X}), no valid Unicode'
            ) from None
    return text


def answer(
    rows: Iterable[Mapping[str, Any]],
    read: Callable[[int, Mapping[str, Any]], Read],
    tokens: Callable[[Read], int],
    answers: Callable[[Sequence[Read]], Iterable[Any]],
    *,
    batch_tokens: int,
) -> Iterator[Any]:
    """One answer a row, in order, from `answers`; {"error": sentence} where `read` raises a DataError.

    `read` makes of a row's number and the row what `answers` answers: as many at once as fit into `batch_tokens` when
    each takes the room of the one with most `tokens`.  One that is larger goes alone.
    """
    waiting: list[Read | DataError] = []
    count, longest = 0, 0
    for number, row in enumerate(rows):
        try:
            item: Read | DataError = read(number, row)
        except DataError as error:
            item = error
        size = 0 if isinstance(item, DataError) else tokens(item)
        crowded = size and (count + 1) * max(longest, size) > batch_tokens
        if crowded or len(waiting) == WAITING:
            yield from _in_place(waiting, answers)
            waiting, count, longest = [], 0, 0
        waiting.append(item)
        count, longest = count + (not isinstance(item, DataError)), max(longest, size)
    yield from _in_place(waiting, answers)


def batches(items: Iterable[Item], tokens: Callable[[Item], int], batch_tokens: int) -> Iterator[list[Item]]:
    """As many items at once as fit into `batch_tokens` when each takes the room of the longest; at least one."""
    some: list[Item] = []
    longest = 0
    for item in items:
        size = tokens(item)
        if some and (len(some) + 1) * max(longest, size) > batch_tokens:
            yield some
            some, longest = [], 0
        some.append(item)
        longest = max(longest, size)
    if some:
        yield some


def _in_place(waiting: Sequence[Read | DataError], answers: Callable[[Sequence[Read]], Iterable[Any]]) -> Iterator[Any]:
    items = [item for item in waiting if not isinstance(item, DataError)]
    answered = iter(answers(items) if items else ())
    for item in waiting:
        yield {"error": str(item)} if isinstance(item, DataError) else next(answered)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
