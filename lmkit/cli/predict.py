"""`lmkit predict`: answers, a JSON line a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from lmkit.cli.answer import Answer, as_json, shortened
from lmkit.cli.command import ConfigOptions, Folder, LocalFiles, PrecisionOption
from lmkit.errors import DataError


def predict(
    run: Folder,
    texts: Annotated[
        list[str],
        typer.Argument(metavar="[TEXT]...", help="Texts to answer.", show_default=False, default_factory=list),
    ],
    *,
    task: Annotated[str | None, typer.Option(metavar="NAME", help="A task that reads the run's head.")] = None,
    rows: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Rows to answer: .jsonl, .conll and the like, or - for JSON lines on stdin."),
    ] = None,
    precision: PrecisionOption = "auto",
    options: ConfigOptions,
    local_files: LocalFiles,
) -> Answer:
    """Answer texts or rows, a JSON line each."""
    import lmkit.run

    loaded = lmkit.run.load(run, local_files=local_files, precision=precision)
    answers = lmkit.run.predict(loaded, task=task, rows=rows, texts=texts, overrides=options)
    answers = _some_good(answers, bool(texts))
    return Answer(map(as_json, map(shortened, answers)), lambda: {"predictions": list(answers)})


def _some_good(answers: Iterable[Any], texts: bool) -> Iterator[Any]:
    """The answers as they come; at their end DataError where all were errors."""
    first, good, count = "", False, 0
    for answer in answers:
        count += 1
        error = answer.get("error") if isinstance(answer, dict) and answer.keys() == {"error"} else None
        good, first = good or error is None, first or error or ""
        yield answer
    if count and not good:
        hint = ". Rows with the columns that the task reads are given with --rows FILE" if texts else ""
        raise DataError(f"none of {count:,} rows could be answered; the first: {first}{hint}")
