"""`lmkit init`: a file to start from."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from lmkit.cli.answer import Answer
from lmkit.cli.command import LocalFiles
from lmkit.errors import ConfigError


def init(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[OBJECTIVE|TASK]", help="What to learn; without it, all are listed."),
    ] = None,
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
    from lmkit.run.starter import choices, starter

    if name is None and (output or size):
        raise ConfigError("init", ["name what to learn, such as one that `lmkit init` alone lists"])
    if name is None:
        listed = choices(local_files=local_files)
        width = max(map(len, chain.from_iterable(listed.values())), default=0)
        lines = [
            line
            for kind, known in listed.items()
            for line in (f"{kind}:", *(f"  {use:{width}}  {about}" for use, about in known.items()))
        ]
        return Answer.of(listed, *lines, "Next, with one of these names: lmkit init NAME -o FILE.toml")
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
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(str(path), ["exists already, and init never overwrites. Name another file"]) from None
