"""Restart: torchrun starts all processes again when one has died; the run then goes on where it was saved."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lmkit.checkpoint import saved
from lmkit.engine.distributed import Processes
from lmkit.engine.events import Observer
from lmkit.errors import LmkitError
from lmkit.recipe import Finetuning, Pretraining, resolved_toml
from lmkit.run.folder import CONFIG
from lmkit.run.run import Run


def restarted(
    folder: Path,
    recipe: Pretraining | Finetuning,
    processes: Processes,
    *,
    observers: Sequence[Observer],
    quiet: bool,
    begins_elsewhere: bool,
) -> Run | None:
    """The run of `recipe` in `folder`, resumed, where torchrun --max-restarts has started these processes again.

    None where it has not, or the folder has another run or none.  `begins_elsewhere`: its first weights do not follow
    from its recipe, so that there has to be a checkpoint.
    """
    count = os.environ.get("TORCHELASTIC_RESTART_COUNT", "")
    if not processes.any(count.isdecimal() and count.strip("0") != ""):  # each host counts for itself
        return None
    if not processes.any(processes.leads and _has_begun(folder, recipe, begins_elsewhere)):
        return None
    from lmkit.run.resume import resume  # which knows how runs begin, as those know of this

    files = [plugin.file for plugin in recipe.plugins]
    return resume(folder, local_files=files, observers=observers, quiet=quiet)


def _has_begun(folder: Path, recipe: Pretraining | Finetuning, begins_elsewhere: bool) -> bool:
    try:
        same = (folder / CONFIG).read_bytes() == resolved_toml(recipe).encode()
        return same and (bool(saved(folder)) or not begins_elsewhere)
    except (OSError, LmkitError):  # there is nothing, or nothing of ours: the same command tells what is wrong
        return False
