"""An event that every test of reports begins with."""

from __future__ import annotations

from typing import Any

from lmkit.engine.events import Started


def started(**changes: Any) -> Started:
    """The start of a small run of nine steps, but for `changes`."""
    values: dict[str, Any] = {
        "step": 0,
        "steps": 9,
        "minutes": None,
        "budget": "steps",
        "parameters": 10,
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
        "compiled": False,
        "micro_batch_tokens": 64,
        "flops_per_token": 6.0,
        "peak_flops": None,
    }
    return Started(**{**values, **changes})
