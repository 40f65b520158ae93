"""The [lora] table of a task's file."""

from __future__ import annotations

import attrs
from attrs import validators


@attrs.frozen(kw_only=True)
class Lora:
    """Updates of low rank for every matrix of the encoder's layers."""

    rank: int = attrs.field(default=8, validator=[validators.ge(1), validators.le(4096)])
    """Of an update."""
    alpha: int = attrs.field(default=16, validator=[validators.ge(1), validators.le(1_000_000)])
    """An update counts alpha / rank times."""
    dropout: float = attrs.field(default=0.0, validator=[validators.ge(0), validators.lt(1)])
    """Share of what an update reads dropped in training."""
