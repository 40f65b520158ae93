"""Numbers: what of an event a tracker can plot; events are told apart by what they have, not by their classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs


def numbers_of(event: Any) -> Mapping[str, float]:
    """Names and finite numbers of a step ("train/loss"), or of a validation by the name of its set; else nothing."""
    said = attrs.asdict(event)
    if "grad_norm" in said:
        names = ("loss", "grad_norm", "learning_rate", "tokens_per_second", "tokens", "model_flops_utilization")
        found = {f"train/{name}": said[name] for name in names} | _terms("train", said["terms"])
    elif "terms" in said and "name" in said:
        found = {f"{said['name']}/loss": said["loss"]} | _terms(said["name"], said["terms"])
    else:
        return {}
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}


def _terms(place: str, terms: Mapping[str, float]) -> dict[str, float]:
    return {f"{place}/{term}": value for term, value in terms.items()}


def is_last(event: Any) -> bool:
    """Whether the run is over."""
    return hasattr(event, "reason")
