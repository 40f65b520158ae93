"""When and how a run is saved."""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs

from lmkit.engine.state import Snapshot


@attrs.frozen(kw_only=True)
class Saving:
    """Saves by steps, by the clock, or by whichever comes first."""

    save: Callable[[Snapshot], str]
    """Writes a checkpoint; returns its path."""
    finish: Callable[[], None] = lambda: None
    """Waits until what `save` has begun is on disk."""
    every_steps: int | None
    every_minutes: float | None

    def is_due(self, step: int, saved_step: int, saved_time: float) -> bool:
        """Whether it is time at `step`, when the last one was made at `saved_step` and monotonic `saved_time`."""
        if self.every_steps is not None and step // self.every_steps > saved_step // self.every_steps:
            return True
        return self.every_minutes is not None and time.monotonic() - saved_time >= 60 * self.every_minutes
