"""predict: answers, one for each row or text, in order."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from lmkit.config import override, read
from lmkit.data.files import FileFormat
from lmkit.data.lines import BOM
from lmkit.data.rows import Unread, read_or_report
from lmkit.data.settings import Data
from lmkit.data.tables import bad_text, parse_row
from lmkit.errors import DataError
from lmkit.interfaces.task import Row
from lmkit.run.folder import CONFIG
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

    In place of a row that cannot be read is {"error": "file:line: ..."}.  `task` names one where several read the
    run's head; `options` are fields of its Config, and so are those that `overrides`, such as "top_k=3", set.
    """
    options = override(options, overrides)
    if isinstance(texts, str) or isinstance(rows, Mapping):
        raise DataError("predict: expected a list of texts, or of rows, got one alone")
    if not texts and rows is None:
        raise DataError(
            "predict: expected texts, or rows (--rows FILE, or --rows - for JSON lines on stdin), got neither"
        )
    loaded = run if isinstance(run, Run) else load(run)
    chosen = loaded.task(task, **options)
    asked = chain((chosen.row(text) for text in texts), rows_of(rows, format_of(loaded)) if rows is not None else ())
    return in_place(asked, partial(loaded.predict, task=task, **options))


def rows_of(rows: Path | str | Iterable[Row], format: FileFormat = "text") -> Iterator[Row | Unread]:
    """Rows of a file, of stdin, or as they are; `format` is that of files whose suffix says none."""
    if rows == "-" or rows == Path("-"):
        return _from_stdin()
    if isinstance(rows, (str, Path)):
        return read_or_report([Path(rows)], Data(train=[str(rows)], document="line", format=format))
    return iter(rows)


def good_rows_of(rows: Path | str | Iterable[Row]) -> Iterator[Row]:
    """What `rows_of` gives; raises DataError at the first row that cannot be read."""
    for row in rows_of(rows):
        if isinstance(row, Unread):
            raise DataError(row.problem)
        yield row


def format_of(run: Run) -> FileFormat:
    """What a run's own data was in files whose suffix says nothing."""
    data = read(run.folder / CONFIG).get("data")
    chosen: FileFormat = data.get("format", "text") if isinstance(data, dict) else "text"
    return chosen


def in_place(rows: Iterable[Row | Unread], predict: Callable[[Iterator[Row]], Iterator[Any]]) -> Iterator[Any]:
    """One answer a row, in order: what `predict` says of the rows that were read, and errors in place of the others.

    The task is given an empty row for one that was not read, so that rows keep their numbers and none waits for long.
    """
    waiting: deque[Unread | str] = deque()  # of each row whose answer is to come: why it was not read, or its place

    def read() -> Iterator[Row]:
        for row in rows:
            waiting.append(row if isinstance(row, Unread) else getattr(row, "place", ""))
            yield {} if isinstance(row, Unread) else row

    for answer in predict(read()):
        row = waiting.popleft()
        if isinstance(row, Unread):
            yield {"error": row.problem}
        elif row and isinstance(answer, Mapping) and answer.keys() == {"error"}:
            yield {"error": f"{row}: {answer['error']}"}
        else:
            yield answer


def _from_stdin() -> Iterator[Row | Unread]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        place = f"stdin:{number}"
        try:
            text = line.removeprefix(BOM if number == 1 else b"").decode()
            if text and not text.isspace():
                row = parse_row(text, place)
                problem = bad_text(row)
                yield row if problem is None else Unread(f"{place}: {problem}")
        except UnicodeDecodeError as error:
            yield Unread(f"{place}: byte {error.start + 1} of the line is not UTF-8 ({error.reason})")
        except DataError as error:
            yield Unread(str(error))
