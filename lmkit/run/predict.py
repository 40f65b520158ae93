"""predict: answers, one for each row or text, in order."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from lmkit.config import override
from lmkit.data.rows import read_rows
from lmkit.data.settings import Data
from lmkit.errors import DataError
from lmkit.interfaces.task import Row
from lmkit.run.load import load
from lmkit.run.run import Run


def predict(
    run: Path | str | Run,
    *,
    task: str | None = None,
    rows: Path | str | Iterable[Row] | None = None,
    texts: Sequence[str] = (),
    overrides: Sequence[str] = (),
    **options: Any,
) -> Iterator[Any]:
    """The answers of a run to `texts`, then to `rows`: a file of rows, "-" for JSON lines on stdin, or rows themselves.

    `task` names one where several read the run's head; `options` are fields of its Config, and so are those that
    `overrides`, such as "top_k=3", set.
    """
    options = override(options, overrides)
    if not texts and rows is None:
        raise DataError("predict: expected texts or rows, got neither")
    loaded = run if isinstance(run, Run) else load(run)
    chosen = loaded.task(task, **options)
    asked = chain((chosen.row(text) for text in texts), rows_of(rows) if rows is not None else ())
    return loaded.predict(asked, task=task, **options)


def rows_of(rows: Path | str | Iterable[Row]) -> Iterator[Row]:
    """Rows of a file, of stdin, or as they are."""
    if rows == "-" or rows == Path("-"):
        return _from_stdin()
    if isinstance(rows, (str, Path)):
        return read_rows([Path(rows)], Data(train=[str(rows)], document="line"))
    return iter(rows)


def _from_stdin() -> Iterator[Row]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            row = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise DataError(f"stdin:{number}: expected a JSON object a line, in UTF-8: {error}") from None
        if not isinstance(row, dict):
            raise DataError(f"stdin:{number}: expected a JSON object, got {type(row).__name__}")
        yield row
