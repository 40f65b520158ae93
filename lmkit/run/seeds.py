"""Seeds: one fine-tuning recipe from several seeds, and how much their results differ."""

from __future__ import annotations

import hashlib
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch

from lmkit.errors import ConfigError, RunError
from lmkit.recipe import Finetuning, read_finetuning, resolved_toml
from lmkit.report.metrics import read_metrics
from lmkit.run.finetune import finetune
from lmkit.run.folder import CONFIG, METRICS, never_began
from lmkit.run.load import load
from lmkit.run.resume import resume
from lmkit.run.run import Run

_MEMBER = re.compile(r"seed-[0-9]+")
_START = "start.sha256"
"""Beside the seeds' folders: what their first weights are known by."""


def finetune_seeds(
    start: Path | str | Run,
    recipe: Path | str | Mapping[str, Any] | Finetuning,
    *,
    run: Path | str,
    seeds: Sequence[int],
    overrides: Sequence[str] = (),
    local_files: Sequence[Path | str] = (),
    quiet: bool = False,
) -> dict[str, Any]:
    """Train a task once from each of `seeds`, into the folders seed-N of `run`.

    Returns the metrics of each one's best validation, their mean, and their spread (the sample's standard deviation).
    What an earlier call has done is kept: finished seeds are only validated again, one that was stopped goes on.
    Raises what `finetune` raises, and RunError where a folder holds a seed of another recipe or start.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError("seeds", [f"expected different seeds, got {list(seeds)}"])
    if not all(0 <= seed < 2**32 for seed in seeds):
        raise ConfigError("seeds", [f"expected numbers from 0 to {2**32 - 1}, got {list(seeds)}"])
    read = read_finetuning(recipe, overrides=overrides, local_files=local_files)
    begun = start if isinstance(start, Run) else load(start, local_files=local_files)
    _require_same_start(Path(run), begun)
    found: dict[str, dict[str, float]] = {}
    for seed in seeds:
        mine, folder = attrs.evolve(read, seed=seed), Path(run) / f"seed-{seed}"
        if (folder / CONFIG).exists() and not never_began(folder):
            if (folder / CONFIG).read_text(encoding="utf-8") != resolved_toml(mine):
                raise RunError(f"{folder}: already there, from another recipe; give these seeds another --run")
            if not (folder / METRICS).exists():
                raise RunError(f"{folder}: its {METRICS} is gone, which says how it did: give this seed another --run")
            resume(folder, local_files=local_files, quiet=quiet)
        else:
            finetune(begun, mine, run=folder, local_files=local_files, quiet=quiet)
        found[folder.name] = _best_validation(folder)
    return compared(found)


def _require_same_start(folder: Path, start: Run) -> None:
    """Note in `folder` which weights its seeds start from; raises RunError where those were others."""
    digest = hashlib.sha256()
    for name, tensor in sorted(start.module.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    note, mine = folder / _START, digest.hexdigest() + "\n"
    if not note.exists() and folder.is_dir() and any(folder.iterdir()):
        raise RunError(f"{folder}: already there, and not of several seeds; give these another --run")
    if members(folder) and note.read_text(encoding="utf-8") != mine:
        raise RunError(
            f"{folder}: its seeds started from other weights than {start.folder} has; give these another --run"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        note.write_text(mine, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}") from None


def members(folder: Path) -> list[Path]:
    """The runs of several seeds that a folder holds, by their numbers; none where it is a run itself."""
    if (folder / CONFIG).exists() or not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _MEMBER.fullmatch(path.name) and (path / CONFIG).exists()]
    return sorted(found, key=lambda path: int(path.name.partition("-")[2]))


def compared(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What was found for each seed, with the mean and the spread of every measure that all of them have."""
    values: dict[str, list[float]] = defaultdict(list)
    for one in found.values():
        for name, value in _numbers(one):
            values[name].append(value)
    shared = {name: some for name, some in values.items() if len(some) == len(found)}
    return {
        "seeds": found,
        "mean": {name: statistics.fmean(some) for name, some in shared.items()},
        "spread": {name: _spread(some) for name, some in shared.items()},
    }


def _spread(values: Sequence[float]) -> float:
    if not all(map(math.isfinite, values)):
        return math.nan
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _numbers(found: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    for name, value in found.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{path}{name}.")
        elif isinstance(value, float):  # a count, of rows or steps, has no mean that says anything
            yield f"{path}{name}", value


def _best_validation(folder: Path) -> dict[str, float]:
    """Loss and metrics of the best validation of a run, or of its last where none was judged; empty without any."""
    made = [record for record in read_metrics(folder / METRICS) if record["event"] == "evaluated"]
    best = [record for record in made if record.get("best")]
    best = best[-1:] or [record for record in made if record["step"] == made[-1]["step"]][:1]
    return {"step": best[0]["step"], "loss": best[0]["loss"], **best[0]["terms"]} if best else {}
