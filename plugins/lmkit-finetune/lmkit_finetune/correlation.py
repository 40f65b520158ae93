"""How well numbers agree with gold ones, from sums alone, so that tallies of rows add up."""

from __future__ import annotations

import math
from collections.abc import Mapping


def pair_sums(found: float, gold: float) -> dict[str, float]:
    """The sums that a pair of numbers adds to; give both on one scale of about 1, for squares to keep their digits."""
    return {
        "rows": 1.0,
        "found": found,
        "gold": gold,
        "found_found": found * found,
        "found_gold": found * gold,
        "gold_gold": gold * gold,
    }


def pearson(total: Mapping[str, float]) -> float:
    """Pearson's correlation, from -1 to 1; 0 where all numbers or all gold ones are the same."""
    rows = total["rows"]
    spread = [_spread(total, name) for name in ("found", "gold")]
    if any(variance <= 0 for variance in spread):
        return 0.0
    together = total["found_gold"] / rows - total["found"] / rows * total["gold"] / rows
    found = together / math.sqrt(spread[0]) / math.sqrt(spread[1])  # whose product may be too small for a float
    return found if math.isnan(found) else max(-1.0, min(1.0, found))


def r_squared(total: Mapping[str, float]) -> float:
    """Share of the gold numbers' variance that is explained, at most 1; 0 where they are all the same."""
    spread = _spread(total, "gold")
    return 0.0 if spread <= 0 else 1 - squared_error(total) / spread


def squared_error(total: Mapping[str, float]) -> float:
    """Mean squared error."""
    error = total["found_found"] - 2 * total["found_gold"] + total["gold_gold"]
    return (0.0 if error < 0 else error) / total["rows"]  # rounding may lead below 0; what is no number stays so


def _spread(total: Mapping[str, float], name: str) -> float:
    """Variance of `found` or `gold`; 0 where it is no more than rounding."""
    mean, square = total[name] / total["rows"], total[f"{name}_{name}"] / total["rows"]
    variance = square - mean * mean
    return 0.0 if variance <= 1e-12 * square else variance
