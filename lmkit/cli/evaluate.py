"""`lmkit evaluate`: how good a run is, in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lmkit.cli.answer import Answer
from lmkit.cli.command import Folder, LocalFiles
from lmkit.cli.table import table


def evaluate(
    run: Folder,
    *,
    text: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="Text to score: bits per byte, perplexity. May be repeated.",
            show_default=False,
            default_factory=list,
        ),
    ],
    rows: Annotated[Path | None, typer.Option(metavar="FILE", help="Rows to score with the run's task.")] = None,
    minimal_pairs: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="Rows with a good and a bad sentence, or a folder of them: how often the good one is likelier. "
            "May be repeated.",
            show_default=False,
            default_factory=list,
        ),
    ],
    local_files: LocalFiles,
) -> Answer:
    """Score a run on text, on rows or on minimal pairs."""
    import lmkit.run

    found = lmkit.run.evaluate(run, text=text, rows=rows, minimal_pairs=minimal_pairs, local_files=local_files)
    return Answer.of(found, *table(found))
