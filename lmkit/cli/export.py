"""`lmkit export` and `lmkit import`: the way out to other software, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lmkit.cli.answer import Answer
from lmkit.cli.command import Folder, LocalFiles, NewFolder
from lmkit.cli.table import said
from lmkit.cli.trained import next_command


def export(
    run: Folder,
    *,
    to: Annotated[str, typer.Option(metavar="FORMAT", help="A format, such as transformers.")] = "transformers",
    out: Annotated[Path, typer.Option(metavar="DIR", help="The new folder.", show_default=False)],
    local_files: LocalFiles,
) -> Answer:
    """Write a run's model for other software, proved equal."""
    import lmkit.run

    found = lmkit.run.export(run, to=to, out=out, local_files=local_files)
    told = [f"{name.replace('_', ' ')}: {_short(value)}" for name, value in found.items() if value and name != "out"]
    return Answer.of(found, f"{out}: written", *told)


def _short(value: object) -> str:
    """A value for people: of a long list its first items, and how many there are."""
    if not isinstance(value, list):
        return said(value)
    return ", ".join(map(str, value[:3])) + (f" and {len(value) - 3} more" if len(value) > 3 else "")


def import_model(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="A folder with a model, or hub:NAME.", show_default=False)
    ],
    *,
    run: NewFolder,
    format_: Annotated[str, typer.Option("--from", metavar="FORMAT", help="Its format.")] = "transformers",
    local_files: LocalFiles,
) -> Answer:
    """Make a run of a model of other software."""
    import lmkit.run

    found = lmkit.run.import_model(path, run=run, format=format_, local_files=local_files)
    encoder, tokenizer = found.parts.encoder.component.name, type(found.tokenizer).name
    data = {"run": str(run), "encoder": encoder, "tokenizer": tokenizer, "head_kind": found.head_kind}
    said = f'{run}: encoder "{encoder}" with a head of kind {found.head_kind}, tokenizer "{tokenizer}"'
    return Answer.of(data, said, f"Next: {next_command(found)}")
