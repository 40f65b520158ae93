"""The global generators of Python, numpy and torch: who draws from one depends on everything that drew before.

This is the one file that touches them, to see that nobody else does.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

_KINDS = ("random", "numpy.random", "torch")


@contextmanager
def seeded(seed: int) -> Iterator[list[str]]:
    """Seed all three; the list names those that were drawn from or seeded inside. What was before comes back after."""
    before = _states()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    start = _states()
    used: list[str] = []
    try:
        yield used
        used += [kind for kind, one, other in zip(_KINDS, start, _states(), strict=True) if one != other]
    finally:
        _restore(before)


def _states() -> tuple[Any, ...]:
    numpy: Any = np.random.get_state(legacy=True)
    return random.getstate(), (*numpy[:1], numpy[1].tobytes(), *numpy[2:]), torch.get_rng_state().numpy().tobytes()


def _restore(states: tuple[Any, ...]) -> None:
    python, numpy, drawn = states
    random.setstate(python)
    np.random.set_state((numpy[0], np.frombuffer(numpy[1], np.uint32), *numpy[2:]))
    torch.set_rng_state(torch.frombuffer(bytearray(drawn), dtype=torch.uint8))
