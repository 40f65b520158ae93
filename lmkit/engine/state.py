"""What a run is between two steps: all that a checkpoint has to hold besides the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from torch import Tensor

from lmkit.engine.best import Best
from lmkit.engine.device import Choices


@attrs.define(kw_only=True)
class State:
    """Where a run stands. There is no random state: whatever is drawn follows from the seed and the step."""

    step: int = 0
    """Optimizer steps made."""
    position: int = 0
    """Examples used, over all epochs: the whole state of the data."""
    tokens: int = 0
    """Tokens trained on, without filler."""
    seconds: float = 0.0
    """Seconds of training; validation, saving and compiling not counted."""
    skipped: int = 0
    """Bad steps skipped."""
    recent: list[float] = attrs.field(factory=list)
    """The last losses, by which a spike is told."""
    best: Best | None = None
    """The best validation so far, where models are judged."""
    choices: Choices | None = None
    """What "auto" meant at step 0."""

    def to_json(self) -> dict[str, Any]:
        return attrs.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> State:
        """Raises KeyError or TypeError for what `to_json` did not write."""
        choices, best = value["choices"], value.get("best")
        made = {"choices": choices and Choices(**choices), "best": best and Best(**best)}
        return cls(**{**value, **made})


@attrs.frozen(kw_only=True)
class Snapshot:
    """A run at a step boundary, ready to be written."""

    state: State
    tensors: Mapping[str, Mapping[str, Tensor]]
    """By file: "model", "optimizer", and "ema" where there is one."""
    shared: bool = False
    """Whether several processes have each some rows of them."""
