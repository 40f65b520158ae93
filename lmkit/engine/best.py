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
    """The best validation of a run so far; of equal ones the first."""

    step: int
    value: float
    """What it was worth: a metric, or the loss with its sign changed."""
    stale: int = 0
    """Validations since then."""


def judged(best: Best | None, step: int, value: float) -> Best:
    """The best one, now that the model of `step` is worth `value`; one that is no number is the worst."""
    if not math.isfinite(value):  # JSON, in which it is saved, has finite numbers only
        value = sys.float_info.max if value > 0 else -sys.float_info.max
    if best is None or value > best.value:
        return Best(step=step, value=value)
    return best if best.step == step else attrs.evolve(best, stale=best.stale + 1)
