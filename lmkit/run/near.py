"""Near: documents that are almost the same, by MinHash over runs of five tokens (Broder 1997; Lee et al. 2021)."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from lmkit.data.store import Store
from lmkit.errors import FitError

_RUN = 5  # tokens
_ALIKE = 0.8
"""Share of runs that two documents have in common, of all that either has."""
_PERMUTATIONS = 128
_MOST = 20_000
"""Documents of a set that are looked at: each takes a fraction of a millisecond, and some kilobytes."""


def require_datasketch() -> None:
    """Raise FitError where the library is not installed."""
    if importlib.util.find_spec("datasketch") is None:
        raise FitError("documents that are almost the same are found by datasketch: pip install 'lmkit[near]'")


def near_duplicates(train: Sequence[Store], validation: Mapping[str, Store]) -> dict[str, Any]:
    """How many of the first documents of `train` are almost as one before them, and of `validation` as one of `train`.

    Documents of fewer than five tokens are left out.
    """
    require_datasketch()
    found = importlib.import_module("datasketch").MinHashLSH(threshold=_ALIKE, num_perm=_PERMUTATIONS)
    doubles = looked = 0
    sketches: dict[int, Any] = {}

    def is_known(sketch: Any) -> bool:
        return any(sketch.jaccard(sketches[key]) >= _ALIKE for key in found.query(sketch))

    for sketch in (sketch for store in train for sketch in _sketches(store)):
        doubles += is_known(sketch)
        sketches[looked] = sketch
        found.insert(looked, sketch)
        looked += 1
        if looked == _MOST:
            break
    overlap = {name: [is_known(sketch) for sketch in _sketches(store)] for name, store in validation.items()}
    return {
        "near-duplicate documents": f"{doubles:,} of {looked:,}",
        "validation documents that are nearly in train": {
            name: f"{sum(known):,} of {len(known):,}" for name, known in overlap.items()
        },
    }


def _sketches(store: Store) -> Iterator[Any]:
    """Of each of the first documents."""
    sketch = importlib.import_module("datasketch").MinHash
    borders = store.borders[: _MOST + 1].tolist()
    for start, stop in pairwise(borders):
        if stop - start >= _RUN:
            tokens = store.tokens[start:stop]
            made = sketch(num_perm=_PERMUTATIONS)
            made.update_batch({tokens[at : at + _RUN].tobytes() for at in range(len(tokens) - _RUN + 1)})
            yield made
