"""A run's folder: new or known, and its config."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from lmkit.checkpoint import RunLock, saved
from lmkit.config import read
from lmkit.errors import LmkitError, RunError
from lmkit.recipe import Finetuning, Pretraining, resolved_toml

CONFIG = "config.toml"
METRICS = "metrics.jsonl"
STARTED_FROM = "started-from.txt"
"""Says at which run's weights this one began, and so that they do not follow from its config."""
_OF_A_BEGINNING = {CONFIG, METRICS, STARTED_FROM, "run.toml", ".lock", "checkpoints"}
"""What a run has written before its first checkpoint."""
IMPORTED = "imported"
"""The table of an imported run's config.toml that says where it is from."""


def require_new(folder: Path) -> None:
    """Raise RunError where `folder` holds something already, but for a run that was stopped before it began."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:  # safetensors would write there, and not read
        raise RunError(f"{folder}: a run's folder needs a name that is UTF-8; give another --run") from None
    if never_began(folder):
        with RunLock(folder):  # nobody is about to begin it
            return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        hint = f"go on with: lmkit resume {folder}" if (folder / CONFIG).exists() else "choose another folder"
        raise RunError(f"{folder}: already there; {hint}, or give the new run another --run")


def never_began(folder: Path) -> bool:
    """Whether it holds a run that was stopped before its first checkpoint, which holds first weights from elsewhere."""
    try:
        if not (folder / CONFIG).is_file() or saved(folder) or {p.name for p in folder.iterdir()} - _OF_A_BEGINNING:
            return False
        config = read(folder / CONFIG)
        begins = (folder / STARTED_FROM).exists() and isinstance(config.get("encoder"), Mapping)
        return begins or (isinstance(config.get("task"), Mapping) and "use" in config["task"])
    except (LmkitError, OSError):  # whatever it is
        return False


def create(folder: Path, recipe: Pretraining | Finetuning, source: object, start: Path | None = None) -> None:
    """Make the folder of a new run, with its config, and the user's own file beside it where there is one.

    `start` is the folder of the run whose weights it begins at.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / METRICS).unlink(missing_ok=True)  # of one that was stopped before it began
        (folder / STARTED_FROM).unlink(missing_ok=True)
        if start is not None:
            (folder / STARTED_FROM).write_text(f"{start}\n", encoding="utf-8")
        if isinstance(source, (str, Path)):
            (folder / "run.toml").write_bytes(Path(source).read_bytes())
        (folder / CONFIG).write_text(resolved_toml(recipe), encoding="utf-8")
    except OSError as error:
        abandon(folder)
        raise RunError(f"{folder}: cannot be written: {error.strerror}") from None


def abandon(folder: Path) -> None:
    """Take away the folder of a run that cannot begin; it was new."""
    shutil.rmtree(folder, ignore_errors=True)


def config_of(folder: Path) -> tuple[Path, bool]:
    """A run's config.toml, and whether it is of fine-tuning; raises RunError where `folder` is no run."""
    path = folder / CONFIG
    if not path.is_file():
        inside = sorted(folder.glob("seed-*")) if folder.is_dir() else []
        what = "no such folder" if not folder.exists() else f"not a run's folder: it has no {CONFIG}"
        what += f", but runs of several seeds; name one, such as {inside[0]}" if inside else ""
        raise RunError(f"{folder}: {what}")
    return path, "task" in read(path)
