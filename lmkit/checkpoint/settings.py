"""The [checkpoint] table: when a run is saved, and how much of it is kept."""

from __future__ import annotations

import attrs
from attrs import validators


@attrs.frozen(kw_only=True)
class Checkpointing:
    """When to save, besides at the end: by the clock, by steps, or by whichever of them comes first."""

    every_minutes: float = attrs.field(default=5.0, validator=validators.ge(0))
    """Minutes of training between checkpoints; 0: not by the clock."""
    every_steps: int | None = attrs.field(default=None, validator=validators.optional(validators.ge(1)))
    """Steps between checkpoints; without it, not by steps."""
    background: bool = False
    """Write while training goes on, from a copy of the run in memory; a kill may then cost the last two intervals."""
    keep: int = attrs.field(default=2, validator=validators.ge(1))
    """How many of the newest checkpoints stay on disk; the best one, of a task's run, stays besides."""
