"""The best model of a run: what it is judged by, and since when no better one came."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping

import attrs

from lmkit.engine.events import Evaluated


@attrs.frozen(kw_only=True)
class Judge:
    """What tells a better model from a worse one, besides the losses that validation measures."""

    metrics: Callable[[str], Mapping[str, float]]
    """More metrics of a validation set, by its name."""
    by: str | None
    """The metric that decides, the higher the better; None: the loss, the lower the better."""

    def worth(self, found: Evaluated) -> float:
        """What decides, turned so that higher is better."""
        return -found.loss if self.by is None else found.terms[self.by]


@attrs.frozen(kw_only=True)
class Best:
    """The best validation of a run so far; of equal ones that with the lowest loss, and then the first."""

    step: int
    value: float
    """What it was worth: a metric, or the loss with its sign changed."""
    loss: float = sys.float_info.max
    """The loss that it had."""
    stale: int = 0
    """Validations since its value was first reached."""


def judged(best: Best | None, step: int, value: float, loss: float) -> Best:
    """The best one, now that the model of `step` is worth `value`; one that is no number is the worst."""
    value, loss = _finite(value), -_finite(-loss)
    if best is None or (value, -loss) > (best.value, -best.loss):
        equal = best is not None and value == best.value
        return Best(step=step, value=value, loss=loss, stale=best.stale + 1 if best and equal else 0)
    return best if best.step == step else attrs.evolve(best, stale=best.stale + 1)


def _finite(value: float) -> float:
    """`value` as JSON can hold it, in which it is saved: the greatest number for infinity, the least for none."""
    if math.isfinite(value):
        return value
    return sys.float_info.max if value > 0 else -sys.float_info.max
