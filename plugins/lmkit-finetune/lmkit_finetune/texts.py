"""A row's text, or pair of texts, as one sequence that an encoder reads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lmkit.batch import Example
from lmkit.errors import DataError
from lmkit.interfaces import Tokenizer
from lmkit.interfaces.task import Row
from lmkit.parts.rows import text_of


def sequence(tokenizer: Tokenizer, row: Row, column: str, pair_column: str | None, longest: int) -> Example:
    """The text in `column`, and the one in `pair_column`, cut to `longest` tokens from the end of the longer one.

    Raises DataError for a column that is absent or no text, and for texts without a token.
    """
    texts = [text_of(row, name) for name in (column, pair_column) if name is not None]
    ids = tokenizer.encode_batch(texts)
    empty = np.zeros(0, np.int64)
    around = len(tokenizer.wrap(empty, empty if pair_column is not None else None).ids)
    wrapped = tokenizer.wrap(*_cut(ids, longest - around))
    if not len(wrapped.ids):
        raise DataError(f'column "{column}": the text is empty')
    return Example(tokens=wrapped.ids, lengths=(len(wrapped.ids),), segments=wrapped.segments)


def _cut(ids: list[npt.NDArray[np.int64]], room: int) -> list[npt.NDArray[np.int64]]:
    """Leave `room` tokens in all: the longer text gives until both are equally long, then both do."""
    if len(ids) == 1:
        return [ids[0][:room]]
    first = min(len(ids[0]), max(room // 2, room - len(ids[1])))
    return [ids[0][:first], ids[1][: room - first]]
