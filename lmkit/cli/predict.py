"""`lmkit predict`: answers, a JSON line a row."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lmkit.cli.answer import Answer, as_json
from lmkit.cli.command import Folder, LocalFiles, TaskOptions


def predict(
    run: Folder,
    texts: Annotated[
        list[str],
        typer.Argument(metavar="[TEXT]...", help="Texts to answer.", show_default=False, default_factory=list),
    ],
    *,
    task: Annotated[str | None, typer.Option(metavar="NAME", help="A task that reads the run's head.")] = None,
    rows: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rows to answer: .jsonl, .conll and the like, or - for stdin.")
    ] = None,
    options: TaskOptions,
    local_files: LocalFiles,
) -> Answer:
    """Answer texts or rows, a JSON line each."""
    import lmkit.run

    loaded = lmkit.run.load(run, local_files=local_files)
    answers = lmkit.run.predict(loaded, task=task, rows=rows, texts=texts, overrides=options)
    return Answer(map(as_json, answers), lambda: {"predictions": list(answers)})
