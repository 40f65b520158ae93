"""What a row found on one side."""

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Finding:
    """Whether a claim holds, and the figures that show it."""

    holds: bool
    figures: str
    """The decisive figures, short enough for a table."""
    details: Mapping[str, Any] = attrs.field(factory=dict)
    """All that was measured."""


def relative_difference(one: float, other: float) -> float:
    """|one - other| over the larger of both; 0 for two zeros."""
    return abs(one - other) / max(abs(one), abs(other), 1e-30)
