"""`lmkit finetune`: a task, learned on a run's encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lmkit.cli.answer import Answer
from lmkit.cli.command import Changes, Folder, LocalFiles, NewFolder, Profiled
from lmkit.cli.table import table
from lmkit.cli.trained import trained
from lmkit.errors import ConfigError


def finetune(
    start: Folder,
    recipe: Annotated[Path, typer.Argument(metavar="TASK.toml", help="What to learn.", show_default=False)],
    *,
    run: NewFolder,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="1,2,3", help="Train once from each seed, into DIR/seed-1 and so on.", show_default=False),
    ] = None,
    overrides: Changes,
    local_files: LocalFiles,
    profile: Profiled = False,
    quiet: bool = False,
) -> Answer:
    """Teach a run's model a task, into a new folder."""
    import lmkit.run

    if seeds is not None:
        if profile:
            raise ConfigError("--profile", ["watches one run, and --seeds makes several: leave one of them away"])
        found = lmkit.run.finetune_seeds(
            start,
            recipe,
            run=run,
            seeds=_numbers(seeds),
            overrides=overrides,
            local_files=local_files,
            quiet=quiet,
        )
        return Answer.of(found, *table(found), f"Next: lmkit evaluate {run} --rows ...")
    return trained(
        lmkit.run.finetune(
            start,
            recipe,
            run=run,
            overrides=overrides,
            local_files=local_files,
            observers=[lmkit.run.Profile(run)] if profile else [],
            quiet=quiet,
        )
    )


def _numbers(seeds: str) -> list[int]:
    try:
        return [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise ConfigError("--seeds", [f"expected numbers such as 1,2,3, got {seeds!r}"]) from None
