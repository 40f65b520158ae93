"""What tasks read in a row: a text or pair of texts, as one sequence that an encoder reads, and numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lmkit.batch import Example
from lmkit.errors import DataError
from lmkit.interfaces import Encoder, Tokenizer, Wrapped
from lmkit.interfaces.task import Row
from lmkit.parts.rows import text_of, value_of


def sequence(tokenizer: Tokenizer, row: Row, column: str, pair_column: str | None, longest: int) -> Example:
    """The text in `column`, and the one in `pair_column`, cut to `longest` tokens from the end of the longer one.

    Raises DataError for a column that is absent or no text, and where there is no token to read.
    """
    texts = [text_of(row, name) for name in (column, pair_column) if name is not None]
    whole = wrapped(tokenizer, texts, longest)
    if whole is None:
        raise DataError(f'column "{column}": the text is empty')
    return Example(tokens=whole.ids, lengths=(len(whole.ids),), segments=whole.segments)


def wrapped(tokenizer: Tokenizer, texts: Sequence[str], longest: int) -> Wrapped | None:
    """One or two texts as one sequence, cut to `longest` tokens from the end of the longer one; None without tokens."""
    ids = tokenizer.encode_batch(texts)
    if not any(map(len, ids)):
        return None
    empty = np.zeros(0, np.int64)
    around = len(tokenizer.wrap(empty, empty if len(texts) == 2 else None).ids)
    return tokenizer.wrap(*_cut(ids, longest - around))


def most_tokens(longest: int, encoder: Encoder) -> int:
    """Tokens of a sequence at most, by a task's `longest` and by what the encoder reads."""
    return longest if encoder.longest is None else min(longest, encoder.longest)


def number_of(row: Row, column: str, lowest: float, highest: float) -> float:
    """The number in `column`; raises DataError where there is none, or one outside of the range that was set."""
    given = value_of(row, column)
    try:
        if not isinstance(given, (int, float, str)) or isinstance(given, bool) or "_" in str(given):
            raise ValueError  # Python would read 1_000
        number = float(given)
    except (ValueError, OverflowError):
        raise DataError(f'column "{column}": wanted a number, got {given!r:.40}') from None
    if not lowest <= number <= highest:
        raise DataError(
            f'column "{column}": {number:g} is not from {lowest:g} to {highest:g}: '
            f"set lowest and highest to the ends of your numbers' range"
        )
    return number


def _cut(ids: list[npt.NDArray[np.int64]], room: int) -> list[npt.NDArray[np.int64]]:
    """Leave `room` tokens in all: the longer text gives until both are equally long, then both do."""
    if len(ids) == 1:
        return [ids[0][:room]]
    first = min(len(ids[0]), max(room // 2, room - len(ids[1])))
    return [ids[0][:first], ids[1][: room - first]]
