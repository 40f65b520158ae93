"""Stopped at step 5 of 12 and resumed: the seven steps that follow are those of a run that was never stopped."""

import shutil
import tempfile
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.defects.finding import Finding

if TYPE_CHECKING:
    from torch import nn

CLAIM = "a resumed run repeats every step of an uninterrupted one, and ends at the same weights, bit for bit"
CASES = tuple(product(("mlm", "clm"), (0, 2), (0.0, 0.1)))
"""Objective, data workers, dropout."""
STEPS, STOPPED = 12, 5

Case = tuple[str, int, float]


def equal_steps(full: Mapping[int, float], resumed: Mapping[int, float]) -> int:
    """How many steps after the stop have the same loss in both runs."""
    return sum(full[step] == resumed.get(step) for step in range(STOPPED + 1, STEPS + 1))


def equal_weights(one: "nn.Module", other: "nn.Module") -> bool:
    """Whether two models have the same weights, bit for bit."""
    pairs = list(zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    return len(pairs) > 0 and all(bool((a == b).all()) for a, b in pairs)


def told(found: Mapping[Case, tuple[int, bool]]) -> Finding:
    """A Finding from each case's number of equal steps, and whether the last weights were equal."""
    after = STEPS - STOPPED
    figures = []
    for objective in ("mlm", "clm"):
        steps, weights = zip(*(value for case, value in found.items() if case[0] == objective), strict=True)
        figures.append(
            f"{objective}: {sum(steps)} of {after * len(steps)} steps and {sum(weights)} of {len(weights)} models equal"
        )
    return Finding(
        holds=all(value == (after, True) for value in found.values()),
        figures="; ".join(figures),
        details={
            f"{objective}, {workers} workers, dropout {dropout}": {
                "equal_steps": f"{steps}/{after}",
                "weights": weights,
            }
            for (objective, workers, dropout), (steps, weights) in found.items()
        },
    )


def trainer() -> Finding:
    from benchmarks.defects import peer

    found = {}
    for objective, workers, dropout in CASES:
        runs = []
        with tempfile.TemporaryDirectory() as folder:
            for checkpoint in (None, f"{folder}/checkpoint-{STOPPED}"):
                run = peer.trainer(
                    peer.model(objective, dropout=dropout),
                    Path(folder),
                    data=peer.blocks(),
                    objective=objective,
                    per_device_train_batch_size=8,
                    max_steps=STEPS,
                    learning_rate=1e-2,
                    save_strategy="steps",
                    save_steps=STOPPED,
                    dataloader_num_workers=workers,
                )
                run.train(resume_from_checkpoint=checkpoint)
                runs.append(run)
        full, resumed = runs
        steps = equal_steps(peer.losses(full), peer.losses(resumed))
        found[objective, workers, dropout] = steps, equal_weights(full.model, resumed.model)
    return told(found)


def lmkit() -> Finding:
    """A copy of the run's folder, cut back to what a machine that died after step 5 leaves, is resumed."""
    from benchmarks.defects import ours
    from lmkit import resume

    found = {}
    for objective, workers, dropout in CASES:
        with tempfile.TemporaryDirectory() as name:
            recipe = ours.tables(objective, ours.text(Path(name)), steps=STEPS, data_workers=workers, dropout=dropout)
            recipe["checkpoint"] = {"every_steps": STOPPED, "keep": 10}
            full = ours.train(Path(name), recipe)
            stopped = Path(name, "stopped")
            shutil.copytree(full.folder, stopped)
            (stopped / "metrics.jsonl").unlink()
            for checkpoint in sorted(stopped.glob("checkpoints/step-*"))[1:]:
                shutil.rmtree(checkpoint)
            resumed = resume(stopped, quiet=True)
            steps = equal_steps(
                *({e["step"]: e["loss"] for e in ours.events(r.folder, "step")} for r in (full, resumed))
            )
            found[objective, workers, dropout] = steps, equal_weights(full.module, resumed.module)
    return told(found)
