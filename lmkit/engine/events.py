"""What a run tells its observers. One read-only stream: nothing that listens can change training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs


@attrs.frozen(kw_only=True)
class Event:
    """Something that happened in a run at `step`."""

    step: int
    """Optimizer steps made."""


@attrs.frozen(kw_only=True)
class Started(Event):
    """Training begins or goes on."""

    steps: int | None
    """Steps of the whole budget; None for a budget in minutes."""
    minutes: float | None
    """Minutes of the whole budget; None for a budget in steps."""
    budget: str
    """What the budget is given in: "steps", "tokens", "epochs" or "minutes"."""
    parameters: int
    """Trained parameters."""
    device: str
    precision: str
    threads: int
    """Of each process."""
    processes: int = 1
    compiled: bool
    micro_batch_tokens: int
    flops_per_token: float
    """Forward and backward, matrix work really done, over the first micro-batch."""
    peak_flops: float | None
    """FLOP/s of the device's matrix unit in the run's precision: known or measured; None: unknown."""


@attrs.frozen(kw_only=True)
class Stepped(Event):
    """One optimizer step."""

    tokens: int
    """Tokens trained on since the start of the run, without filler."""
    seconds: float
    """Seconds of training since the start of the run; validation, saving and compiling not counted."""
    waited: float = 0.0
    """Seconds of this step that were spent waiting for its data."""
    progress: float
    """Share of the budget spent with this step, 0 to 1."""
    loss: float
    """Weighted sum of the terms' means; as it is, NaN too."""
    terms: Mapping[str, float]
    grad_norm: float
    """Before clipping."""
    learning_rate: float
    tokens_per_second: float
    model_flops_utilization: float | None
    applied: bool = True
    """False where the step was bad and skipped."""
    silent: float | None = None
    """Share of the units to which no token of the batch gave a gradient, in the matrix that has most of them; told at
    every hundredth step."""


@attrs.frozen(kw_only=True)
class Evaluated(Event):
    """A validation set was scored."""

    name: str
    """Of the validation set."""
    loss: float
    terms: Mapping[str, float]
    """Means of what the objective measures: "mlm", "mlm.accuracy"; and a task's own metrics: "accuracy"."""
    seconds: float
    best: bool = False
    """Whether the model is the best so far, by what it is judged by."""


@attrs.frozen(kw_only=True)
class Sampled(Event):
    """The model was asked something, as it stood."""

    asked: str
    answered: str


@attrs.frozen(kw_only=True)
class Saved(Event):
    """A checkpoint is on disk, or on its way there where it is written in the background."""

    path: str
    seconds: float
    """Seconds that training waited for it."""


@attrs.frozen(kw_only=True)
class Resumed(Event):
    """The run goes on from a checkpoint."""

    path: str
    promise: str
    """What holds: "exact", "same data" or "compatible"."""
    differences: Sequence[str] = ()
    """What is not as it was, a sentence each."""


@attrs.frozen(kw_only=True)
class Alarm(Event):
    """Something that a person should know."""

    message: str
    examples: Sequence[Sequence[int]] = ()
    """Keys (seed, epoch, index) of the batch's examples, where the alarm is about a batch."""


@attrs.frozen(kw_only=True)
class Finished(Event):
    """The run is over."""

    reason: str
    """ "done", "no better" (patience ended), "interrupted" or "alarm"."""
    tokens: int
    seconds: float


Observer = Callable[[Event], None]
