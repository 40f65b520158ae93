"""`lmkit pretrain`: a new run, from a run.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lmkit.cli.answer import Answer
from lmkit.cli.command import Changes, LocalFiles, NewFolder, Profiled, Recipe
from lmkit.cli.trained import trained


def pretrain(
    recipe: Recipe,
    *,
    run: NewFolder,
    start_from: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="Start at the weights of another run.")
    ] = None,
    overrides: Changes,
    local_files: LocalFiles,
    profile: Profiled = False,
    quiet: bool = False,
) -> Answer:
    """Train a model on text, into a new folder."""
    import lmkit.run

    return trained(
        lmkit.run.pretrain(
            recipe,
            run=run,
            start_from=start_from,
            overrides=overrides,
            local_files=local_files,
            observers=[lmkit.run.Profile(run)] if profile else [],
            quiet=quiet,
        )
    )
