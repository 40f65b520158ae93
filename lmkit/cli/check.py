"""`lmkit check`: everything that can be known of a run before paying for it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lmkit.cli.answer import Answer
from lmkit.cli.command import Changes, LocalFiles, Recipe
from lmkit.cli.table import table
from lmkit.errors import ConfigError


def check(
    recipe: Recipe,
    *,
    overfit: Annotated[
        bool, typer.Option("--overfit", help="Also train on one batch alone: its loss has to fall.")
    ] = False,
    tune: Annotated[
        bool, typer.Option("--tune", help="Also try learning rates and micro-batches, some steps each.")
    ] = False,
    world: Annotated[
        int | None, typer.Option(metavar="N", help="Also what N GPUs would need, from formulas.", show_default=False)
    ] = None,
    gpu: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of which kind: h100 (the default), h200, a100 or l40s.", show_default=False),
    ] = None,
    price: Annotated[
        float | None, typer.Option(metavar="P", help="Of an hour of this machine.", show_default=False)
    ] = None,
    overrides: Changes,
    local_files: LocalFiles,
    quiet: bool,
) -> Answer:
    """Say what a run.toml will cost, and what is wrong with it.

    Reads the config, the plugins and the data, and makes two real steps.
    """
    import lmkit.run

    if gpu is not None and world is None:
        raise ConfigError("--gpu", ["says of which kind the GPUs of --world N are: give that too"])
    found = lmkit.run.check(
        recipe,
        overrides=overrides,
        local_files=local_files,
        overfit=overfit,
        tune=tune,
        world=world,
        gpu=gpu or "h100",
        price=price,
        tell=(lambda _: None) if quiet else _tell,
    )
    measured = {name: value for name, value in found.items() if name != "advice"}
    return Answer.of(found, *table(measured), *(f"advice: {sentence}" for sentence in found["advice"]))


def _tell(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
