"""`lmkit evaluate`: how good a run is, in numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from lmkit.cli.answer import Answer
from lmkit.cli.command import ConfigOptions, Folder, LocalFiles, PrecisionOption
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
    task: Annotated[str | None, typer.Option(metavar="NAME", help="A task that reads the run's head.")] = None,
    precision: PrecisionOption = "auto",
    options: ConfigOptions,
    local_files: LocalFiles,
) -> Answer:
    """Score a run on text, on rows or on minimal pairs."""
    import lmkit.run

    asked: dict[str, Any] = {"text": text, "rows": rows, "minimal_pairs": minimal_pairs, "task": task}
    found = lmkit.run.evaluate(run, **asked, overrides=options, local_files=local_files, precision=precision)
    return Answer.of(found, *(_of_seeds(found) if "seeds" in found else _of_run(found)))


def _of_seeds(found: Mapping[str, Any]) -> Iterator[str]:
    for name, one in found["seeds"].items():
        yield name
        yield from (f"  {line}" for line in _of_run(one))
    yield from table({name: found[name] for name in ("mean", "spread")})


def _of_run(found: Mapping[str, Any]) -> Iterator[str]:
    forms = {"rows": _of_rows, "minimal_pairs": _of_pairs}
    yield from table({name: values for name, values in found.items() if name not in forms})
    if "text" in found and "bits_per_byte" not in found["text"]:
        scored = max(found["text"]["predictions"].values()) / found["text"]["tokens"]
        yield f"no bits per byte: this objective scores {scored:.0%} of the tokens, and they count all of them"
    yield from chain.from_iterable(forms[name](found[name]) for name in forms if name in found)


def _of_rows(scores: Mapping[str, Any]) -> Iterator[str]:
    """A line a number, with the interval in which 95 % of resampled rows have it."""
    width = max(map(len, scores))
    for name, value in scores.items():
        if name != "intervals":
            low, high = scores["intervals"].get(name, (None, None))
            between = "" if low is None else f"  ({low:.4f} to {high:.4f})"
            yield f"{name.replace('_', ' '):{width}}  {value if isinstance(value, int) else f'{value:.4f}'}{between}"


def _of_pairs(scores: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line a file, whose path stands as it is, and their mean."""
    width = max(len("minimal pairs"), *map(len, scores["files"]))
    yield f"{'minimal pairs':{width}}  accuracy    ties  pairs"
    for path, found in scores["files"].items():
        unread = f", {found['unread']:,} unread" if found["unread"] else ""
        yield f"{path:{width}}  {found['accuracy']:8.4f}  {found['ties']:6.4f}  {found['pairs']:5,}{unread}"
    yield f"{'mean':{width}}  {scores['mean']['accuracy']:8.4f}  {scores['mean']['ties']:6.4f}"
