"""Stopped at step 5 of 12 and resumed: the seven steps that follow are those of a run that was never stopped."""

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
