"""Watch: what a person who looks at the curve would say, told once each while there is time to act."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

from lmkit.engine.events import Alarm, Event, Started, Stepped

_FEW = 20
"""Steps of a whole run that are hardly enough to learn by."""
_WINDOW = 100
_FLAT_AFTER = 3 * _WINDOW
_FLAT = 0.97
"""Share of its first loss that a run may have left after that many steps."""
_RISEN = 1.15
_RISEN_NATS = 0.2
_WAITS = 0.25
"""Share of the time that may go into waiting for data."""
_SILENT = 0.5
"""Share of a matrix' units that may have no gradient, twice in a row."""


class Watch:
    """An observer that tells of too few steps, a loss that does not fall or rises, data that is late, and dead units.

    `fresh`: whether the weights were drawn at random, so that the loss has to fall at once.
    """

    def __init__(self, tell: Callable[[Event], None], *, fresh: bool) -> None:
        self._tell, self._fresh = tell, fresh
        self._losses: list[float] = []
        self._windows: list[float] = []
        self._first = self._rate = 0.0
        self._warm = 0  # windows that ended with the learning rate still rising
        self._began = self._waited = 0.0
        self._silent = 0  # times in a row
        self._told: set[str] = set()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started) and event.step == 0 and event.budget != "steps" and event.steps:
            self._counted(event.steps, event.budget)
        if not isinstance(event, Stepped) or not event.applied:
            return
        if not self._losses and not self._windows:
            self._began = event.seconds
        else:
            self._waited += event.waited
        self._losses.append(event.loss)
        if event.silent is not None:
            self._silent = self._silent + 1 if event.silent > _SILENT else 0
            if self._silent == 2:
                self._say(event.step, "silent", _dead(event.silent))
        if len(self._losses) == _WINDOW:
            self._first = self._first or statistics.fmean(self._losses[:10])
            self._windows.append(statistics.fmean(self._losses))
            self._losses.clear()
            self._warm += event.learning_rate > self._rate and self._warm == len(self._windows) - 1
            self._rate = event.learning_rate
            for kind, message in self._judged(event.seconds - self._began):
                self._say(event.step, kind, message)

    def _counted(self, steps: int, budget: str) -> None:
        if steps < _FEW:
            made = "1 step" if steps == 1 else f"{steps} steps"
            advice = f"lower train.batch_tokens, or raise train.{budget}"
            self._say(0, "few", f"the whole budget is {made}, hardly enough to learn by: {advice}")

    def _say(self, step: int, kind: str, message: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            self._tell(Alarm(step=step, message=f"step {step:,}: {message}" if step else message))

    def _judged(self, seconds: float) -> Iterator[tuple[str, str]]:
        last, steps = self._windows[-1], _WINDOW * len(self._windows)
        if self._fresh and steps == self._warm * _WINDOW + _FLAT_AFTER and last > _FLAT * self._first:
            yield (
                "flat",
                (
                    f"after {steps} steps the loss is {last:.4g}, and was {self._first:.4g} at first: it hardly falls. "
                    "Try a learning rate ten times as high, or as low, and see `lmkit check --overfit` learn one batch"
                ),
            )
        lowest = min(self._windows)
        if last > _RISEN * lowest and last > lowest + _RISEN_NATS:
            yield (
                "risen",
                (
                    f"the loss has risen to {last:.4g}, from {lowest:.4g}: lower the learning rate, and go on from a "
                    "checkpoint before that"
                ),
            )
        if seconds > 0 and self._waited > _WAITS * seconds:
            yield (
                "slow data",
                (
                    f"{self._waited / seconds:.0%} of the time goes into waiting for data: let more processes "
                    "prepare it, by train.data_workers"
                ),
            )


def _dead(share: float) -> str:
    return (
        f"{share:.0%} of a layer's units get no gradient from a whole batch: they are dead. Lower the learning rate, "
        'and go on from a checkpoint before; or take an activation that never is zero throughout, such as "gelu"'
    )
