"""`lmkit data`: the text that a run reads."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmkit.cli.answer import Answer
from lmkit.cli.command import Changes, LocalFiles, Recipe
from lmkit.cli.table import table

if TYPE_CHECKING:
    from lmkit.run.inspect import Piece

_STYLES = {"special": "dim cyan", "scored": "bold black on yellow", "filler": "dim", "border": "red"}
_LEGEND = "{what the model reads|what it has to predict there}   [SPECIAL]   / the end of a sequence"


def build(recipe: Recipe, *, overrides: Changes, local_files: LocalFiles) -> Answer:
    """Train the tokenizer and store the tokens, which later runs on the same text share."""
    import lmkit.run

    found = lmkit.run.build_data(recipe, overrides=overrides, local_files=local_files)
    return Answer.of(found, *table(found))


def inspect(
    recipe: Recipe,
    *,
    start: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="The run that a task's file fine-tunes.")
    ] = None,
    examples: Annotated[int, typer.Option(metavar="N", min=0, help="Examples to show as text.")] = 3,
    near: Annotated[bool, typer.Option("--near", help="Count documents that are almost the same, too.")] = False,
    overrides: Changes,
    local_files: LocalFiles,
) -> Answer:
    """Show batches as the model sees them, and what is odd in the data: lengths, unknown tokens, doubles, overlap."""
    import lmkit.run

    found = lmkit.run.inspect_data(
        recipe, start=start, examples=examples, near=near, overrides=overrides, local_files=local_files
    )
    return Answer.of(found, *_lines(found))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    if found["examples"]:
        yield _LEGEND
        yield ""
    for number, example in enumerate(found["examples"]):
        target = "" if example["target"] is None else f", wanted: {example['target']}"
        yield f"example {number}{target}"
        for row in example["rows"]:
            yield _shown(row)
        yield ""
    yield from table({name: value for name, value in found.items() if name != "examples"})


def _shown(row: Sequence[Piece]) -> str:
    """A row as text; in colours where a person watches."""
    from rich.console import Console
    from rich.text import Text

    text = Text()
    for piece in row:
        text.append(" " * piece.apart)
        said = {"scored": f"{{{piece.text}|{piece.wanted}}}", "border": " / ", "filler": f"({piece.text})"}
        text.append(said.get(piece.kind, piece.text), style=_STYLES.get(piece.kind, ""))
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text.plain
    console = Console(file=io.StringIO(), force_terminal=True, width=10_000)
    with console.capture() as written:
        console.print(text, end="", soft_wrap=True)
    return written.get()
