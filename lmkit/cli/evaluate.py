"""`lmkit evaluate`: how good a run is, in numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

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

    loaded = lmkit.run.load(run, local_files=local_files)
    found = lmkit.run.evaluate(loaded, text=text, rows=rows, minimal_pairs=minimal_pairs)
    others = {name: values for name, values in found.items() if name != "minimal_pairs"}
    return Answer.of(found, *table(others), *(_of_pairs(found["minimal_pairs"]) if minimal_pairs else ()))


def _of_pairs(scores: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line a file, whose path stands as it is, and their mean."""
    width = max(len("minimal pairs"), *map(len, scores["files"]))
    yield f"{'minimal pairs':{width}}  accuracy    ties  pairs"
    for path, found in scores["files"].items():
        yield f"{path:{width}}  {found['accuracy']:8.4f}  {found['ties']:6.4f}  {found['pairs']:5,}"
    yield f"{'mean':{width}}  {scores['mean']['accuracy']:8.4f}  {scores['mean']['ties']:6.4f}"
