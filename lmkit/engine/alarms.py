"""When a step is bad: a number that is none, or a loss far above the last ones."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

SPIKE_WINDOW = 64
"""Losses over which the median is taken that a spike is measured by."""
_ENOUGH = 16  # losses before a spike can be told
_LEAST = 1e-9  # to divide by
_NATS = 2.0  # a small loss may double by chance: a spike also exceeds the median by this much


def what_is_wrong(loss: float, grad_norm: float, recent: Sequence[float], spike: float) -> str | None:
    """Why a step with this loss and gradient must not be applied, or None where it may.

    `recent` are the last applied losses; `spike` is how many times their median a loss may reach, 0: any.
    """
    if not math.isfinite(loss):
        return f"the loss is {loss}"
    if not math.isfinite(grad_norm):
        return f"the gradient's norm is {grad_norm} at loss {loss:.4f}"
    if spike and len(recent) >= _ENOUGH:
        median = max(statistics.median(recent), _LEAST)
        if loss > spike * median and loss > median + _NATS:
            return f"the loss jumped to {loss:.4f}, {loss / median:.1f} times the median of the last {len(recent)}"
    return None


def sentence(number: int, bad: str, *, first: int, last: int, stops: bool) -> str:
    """What is said of a bad step, which had the examples from `first` to `last`."""
    then = "the run stops" if stops else "skipped"
    return f"step {number}: {bad} (examples {first} to {last} of the run); not applied, {then}"
