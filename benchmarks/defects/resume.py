"""Stopped at step 5 of 12 and resumed: the seven steps that follow are those of a run that was never stopped."""

import shutil
import tempfile
from itertools import product
from pathlib import Path

from benchmarks.defects.finding import Finding

CLAIM = "a resumed run repeats every step of an uninterrupted one, bit for bit"
CASES = tuple(product(("mlm", "clm"), (0, 2), (0.0, 0.1)))
"""Objective, data workers, dropout."""
STEPS, STOPPED = 12, 5


def told(same: dict[tuple[str, int, float], int]) -> Finding:
    """A Finding from the number of equal steps of each case."""
    after = STEPS - STOPPED
    totals = {o: [n for (objective, *_), n in same.items() if objective == o] for o in ("mlm", "clm")}
    return Finding(
        holds=all(n == after for n in same.values()),
        figures="; ".join(
            f"{o}: {sum(n == after for n in totals[o])} of {len(totals[o])} cases, "
            f"{sum(totals[o])} of {after * len(totals[o])} steps equal"
            for o in totals
        ),
        details={f"{o}, {workers} workers, dropout {d}": f"{n}/{after}" for (o, workers, d), n in same.items()},
    )


def trainer() -> Finding:
    from benchmarks.defects import peer

    same = {}
    for objective, workers, dropout in CASES:
        logged = []
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
                logged.append(peer.losses(run))
        full, resumed = logged
        same[objective, workers, dropout] = sum(
            full[step] == resumed.get(step) for step in range(STOPPED + 1, STEPS + 1)
        )
    return told(same)


def lmkit() -> Finding:
    """A copy of the run's folder, cut back to what a machine that died after step 5 leaves, is resumed."""
    from benchmarks.defects import ours
    from lmkit import resume

    same = {}
    for objective, workers, dropout in CASES:
        with tempfile.TemporaryDirectory() as name:
            recipe = ours.tables(objective, ours.text(Path(name)), steps=STEPS, data_workers=workers, dropout=dropout)
            recipe["checkpoint"] = {"every_steps": STOPPED, "keep": 10}
            full = ours.train(Path(name), recipe).folder
            stopped = Path(name, "stopped")
            shutil.copytree(full, stopped)
            for checkpoint in sorted(stopped.glob("checkpoints/step-*"))[1:]:
                shutil.rmtree(checkpoint)
            lines = (stopped / "metrics.jsonl").read_text().splitlines(keepends=True)
            (stopped / "metrics.jsonl").write_text("".join(lines[: 1 + STOPPED]))
            resume(stopped)
            steps = [{e["step"]: e["loss"] for e in ours.events(run, "step")} for run in (full, stopped)]
            same[objective, workers, dropout] = sum(
                steps[0][step] == steps[1].get(step) for step in range(STOPPED + 1, STEPS + 1)
            )
    return told(same)
