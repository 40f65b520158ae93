"""A learning rate far too high drives the loss to infinity and to NaN."""

import math
import tempfile
from pathlib import Path

from benchmarks.defects.finding import Finding

CLAIM = "a loss that is not a number is shown as it is, and stops the run before it reaches the weights"
RATE = 1e30


def trainer() -> Finding:
    from benchmarks.defects import peer

    with tempfile.TemporaryDirectory() as folder:
        run = peer.trainer(
            peer.model("clm"),
            Path(folder),
            data=peer.blocks(),
            objective="clm",
            max_steps=6,
            learning_rate=RATE,
            per_device_train_batch_size=8,
        )
        run.train()
    logged = peer.losses(run)
    hidden = [step for step, loss in logged.items() if math.isfinite(loss)]
    broken = sum(not bool(p.isfinite().all()) for p in run.model.parameters())
    total = sum(1 for _ in run.model.parameters())
    return Finding(
        holds=len(hidden) < len(logged) and broken == 0,
        figures=f"{len(hidden)} of {len(logged)} logged losses look finite, the last {logged[max(logged)]:.4g}; "
        f"the run ended as if well, {broken} of {total} weights not finite",
        details={"logged": {str(step): str(loss) for step, loss in logged.items()}, "broken_weights": broken},
    )


def lmkit() -> Finding:
    from benchmarks.defects import ours
    from lmkit import TrainingAlarm, load

    with tempfile.TemporaryDirectory() as name:
        recipe = ours.tables("clm", ours.text(Path(name)), steps=6, learning_rate=RATE, clip=0.0, spike=0.0, warmup=0.0)
        try:
            ours.train(Path(name), recipe)
            alarm = "none"
        except TrainingAlarm as error:
            alarm = str(error)
        folder = Path(name, "run")
        logged = [float(event["loss"]) for event in ours.events(folder, "step")]
        weights = [bool(p.isfinite().all()) for p in load(folder).module.parameters()]
    return Finding(
        holds=alarm != "none" and not math.isfinite(logged[-1]) and all(weights),
        figures=f"{sum(map(math.isfinite, logged))} of {len(logged)} logged losses finite, the last {logged[-1]}; "
        f"{weights.count(False)} of {len(weights)} weights not finite; the alarm: {alarm}",
        details={"logged": [str(loss) for loss in logged], "alarm": alarm},
    )
