"""`lmkit finetune`: a task, learned on a run's encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lmkit.cli.answer import Answer
from lmkit.cli.command import Changes, Folder, LocalFiles, NewFolder
from lmkit.cli.trained import trained


def finetune(
    start: Folder,
    recipe: Annotated[Path, typer.Argument(metavar="TASK.toml", help="What to learn.", show_default=False)],
    *,
    run: NewFolder,
    overrides: Changes,
    local_files: LocalFiles,
    quiet: bool = False,
) -> Answer:
    """Teach a run's model a task, into a new folder."""
    import lmkit.run

    return trained(
        lmkit.run.finetune(start, recipe, run=run, overrides=overrides, local_files=local_files, quiet=quiet)
    )
