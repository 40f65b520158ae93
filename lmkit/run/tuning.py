"""Tuning: some steps at each of several learning rates and micro-batches, to see which suits the model."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from lmkit.engine.events import Event, Stepped
from lmkit.engine.settings import Training
from lmkit.errors import TrainingAlarm
from lmkit.run.training import Trainee

_FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)
_STEPS = 40
_LAST = 8
"""Steps over which the loss is averaged."""
_TIMED = 4
_MOST_TOKENS = 32_768
"""Of a pass: beyond, memory is spent and nothing is gained."""
_ALIKE = 0.01
"""Share by which losses may differ and the lower rate be taken."""
_BETTER = 0.02
"""Of the loss: by less no other rate is advised."""
_FASTER = 1.05

Train = Callable[..., Sequence[Event]]
"""Makes some steps with changed settings; what is told of them."""


def tuned(trainee: Trainee, settings: Training, train: Train, tell: Callable[[str], None]) -> dict[str, Any]:
    """Losses after the same steps at each share of the learning rates, and tokens/s by micro-batch, with advice.

    Each begins at the weights that `trainee` has, and leaves them as they were; what is found on the way is told.
    """
    start = {name: tensor.clone() for name, tensor in trainee.model.state_dict().items()}

    def anew(**changes: Any) -> list[Stepped]:
        try:
            with torch.random.fork_rng():
                events = train(spike=0.0, **changes)
        except TrainingAlarm:  # a loss that is no number
            events = []
        finally:
            trainee.model.load_state_dict(start)
        return [e for e in events if isinstance(e, Stepped) and e.applied and math.isfinite(e.loss)]

    losses = {}
    for factor in _FACTORS:
        rates = {"learning_rate": factor * settings.learning_rate}
        rates["matrix_learning_rate"] = factor * settings.matrix_learning_rate
        made = anew(steps=_STEPS, **rates)
        losses[factor] = statistics.fmean(e.loss for e in made[-_LAST:]) if len(made) == _STEPS else math.inf
        tell(f"loss {losses[factor]:.4g} after {_STEPS} steps at {_rates(settings, factor)}")
    speeds = {}
    for micro in _micro_batches(settings):
        made = anew(steps=1 + _TIMED, micro_batch_tokens=micro)
        if len(made) > 1:
            speeds[micro] = statistics.median(e.tokens_per_second for e in made[1:])
            tell(f"{speeds[micro]:,.0f} tokens/s at train.micro_batch_tokens={micro}")
    return {
        f"loss after {_STEPS} steps at": {
            f"{factor:g} times: {_rates(settings, factor)}": loss for factor, loss in losses.items()
        },
        "tokens a second by train.micro_batch_tokens": {f"{micro}": speed for micro, speed in speeds.items()},
        "advice": list(_advice(losses, speeds, settings)),
    }


def _rates(settings: Training, factor: float) -> str:
    """The learning rates that there are, `factor` times as high."""
    rates = f"train.learning_rate={factor * settings.learning_rate:.3g}"
    if settings.optimizer == "muon":
        rates += f" train.matrix_learning_rate={factor * settings.matrix_learning_rate:.3g}"
    return rates


def _micro_batches(settings: Training) -> list[int]:
    """Up to four sizes that divide a step, the largest that a pass should have and halves of it."""
    blocks = settings.batch_tokens // settings.block_tokens
    sizes = [settings.block_tokens * n for n in range(1, min(blocks, _MOST_TOKENS) + 1) if blocks % n == 0]
    largest = max([size for size in sizes if size <= _MOST_TOKENS], default=sizes[0])
    return [size for size in sizes if largest / 8 <= size <= largest][-4:]


def _advice(losses: dict[float, float], speeds: dict[int, float], settings: Training) -> Iterator[str]:
    lowest = min(losses.values())
    best = min(factor for factor in losses if losses[factor] <= (1 + _ALIKE) * lowest)
    if math.isinf(losses[best]):
        yield "at none of the learning rates did the loss stay a number: lower train.learning_rate"
    elif losses[best] < (1 - _BETTER) * losses[1.0]:
        rates = _rates(settings, best)
        yield (
            f"after {_STEPS} steps the loss is lowest, {losses[best]:.4g} and not {losses[1.0]:.4g}, with {rates}; a "
            "long run may want less"
        )
    else:
        yield f"no other learning rate is better by {_BETTER:.0%} after {_STEPS} steps"
    fastest = max(speeds, key=speeds.__getitem__, default=0)
    if speeds and speeds[fastest] > _FASTER * speeds[max(speeds)]:
        times = speeds[fastest] / speeds[max(speeds)]
        yield f"train.micro_batch_tokens={fastest} is {times:.2f} times as fast as {max(speeds)}"
