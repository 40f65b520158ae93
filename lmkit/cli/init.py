"""`lmkit init`: a file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lmkit.cli.answer import Answer
from lmkit.cli.command import LocalFiles


def init(
    name: Annotated[
        str,
        typer.Argument(
            metavar="OBJECTIVE|TASK", help="What to learn, such as one that `lmkit plugins` lists.", show_default=False
        ),
    ],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a new file, not to stdout.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of a model that is pre-trained: tiny, mini, small, base, or 30M."),
    ] = None,
    local_files: LocalFiles,
) -> Answer:
    """Write a run.toml, or a task's file, with defaults explained."""
    from lmkit.run.starter import starter

    text = starter(name, size=size, local_files=local_files)
    if output is None:
        return Answer.of({"text": text}, text.rstrip("\n"))
    _write_new(output, text)
    return Answer.of(
        {"text": text, "file": str(output)},
        f"wrote {output}. Say in its [data] what to read, then: {_next(text, output)}",
    )


def _next(text: str, output: Path) -> str:
    return f"lmkit finetune DIR {output} --run DIR2" if "\n[task]\n" in text else f"lmkit check {output}"


def _write_new(path: Path, text: str) -> None:
    """A whole new file or none; raises ConfigError where there is one already."""
    from lmkit.errors import ConfigError

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(str(path), ["exists already, and init never overwrites. Name another file"]) from None
