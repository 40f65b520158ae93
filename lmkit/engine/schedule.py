"""How much of the budget is spent, and what follows from it: learning rate and batch size.

Progress is a pure function of the step, of the data position or of the clock, whichever the budget is in; nothing else
remembers where a schedule is.
"""

from __future__ import annotations

import math

import attrs

from lmkit.engine.settings import Training

_COUNTED = 100_000  # steps of a batch warm-up, one by one


@attrs.frozen(kw_only=True)
class Schedule:
    """The budget of a run, in one of three units, and the schedules over it."""

    settings: Training
    total_examples: int | None
    """Budget in examples, for one in tokens or epochs."""
    full: int
    """Examples of a whole step."""

    @classmethod
    def of(cls, settings: Training, *, epoch_examples: int, example_tokens: float) -> Schedule:
        """`epoch_examples`: examples of one pass over the data; `example_tokens`: tokens of one, filler included."""
        tokens = settings.budget_tokens()
        total = None
        if tokens is not None:
            total = math.ceil(tokens / example_tokens)
        elif settings.epochs is not None:
            total = max(1, round(settings.epochs * epoch_examples))
        full = max(1, round(settings.batch_tokens / example_tokens))
        return cls(settings=settings, total_examples=total, full=full)

    def progress(self, *, step: int, position: int, seconds: float) -> float:
        """Share of the budget spent after `step` steps, `position` examples and `seconds` of training; at most 1."""
        if self.settings.steps is not None:
            spent = step / self.settings.steps
        elif self.total_examples is not None:
            spent = position / self.total_examples
        else:
            assert self.settings.minutes is not None
            spent = seconds / (60 * self.settings.minutes)
        return min(1.0, spent)

    def steps(self, step: int, position: int, micro: int) -> int | None:
        """Steps of the whole budget for a run that stands at `step` and `position`.

        None for a budget in minutes, and for a batch warm-up of more than a hundred thousand steps.
        """
        if self.settings.steps is not None or self.total_examples is None:
            return self.settings.steps
        last = step + _COUNTED
        while (spent := position / self.total_examples) < min(1.0, self.settings.batch_warmup):
            if step == last:
                return None
            step, position = step + 1, position + self.batch_examples(spent, micro)
        return step + max(0, math.ceil((self.total_examples - position) / self.full))

    def learning_rate(self, progress: float) -> float:
        """Factor of the peak learning rates, 0 to 1."""
        settings = self.settings
        if progress < settings.warmup:
            # The first step would otherwise be lost: it is made at progress 0.
            return max(progress, 1e-3) / settings.warmup if settings.warmup > 1e-3 else 1.0
        if settings.schedule == "constant":
            return 1.0
        if settings.schedule == "wsd":
            return min(1.0, (1 - progress) / settings.cooldown) if settings.cooldown else 1.0
        left = (1 - progress) / (1 - settings.warmup) if settings.warmup < 1 else 0.0
        return left if settings.schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))

    def batch_examples(self, progress: float, micro: int) -> int:
        """Examples of a step: `full`, or fewer in the batch warm-up, in whole micro-batches of `micro`."""
        if progress >= self.settings.batch_warmup:
            return self.full
        share = 1 / 8 + 7 / 8 * progress / self.settings.batch_warmup
        return min(self.full, max(1, round(self.full * share / micro)) * micro)
