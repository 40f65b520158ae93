"""Comparing: what differs between two batches, how far two tensors are apart, whether two answers are the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from lmkit.batch import Batch, Example, Packed

NEAR = 1e-5
"""Largest difference of what was computed in two ways, in fp32."""


def leaves(value: Any, name: str = "batch") -> Iterator[tuple[str, Any]]:
    """Everything inside a batch, by its path."""
    if attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            yield from leaves(getattr(value, field.name), f"{name}.{field.name}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, f"{name}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from leaves(item, f"{name}[{number}]")
    else:
        yield name, value


def differences(one: Batch | Packed | Example, other: Batch | Packed | Example) -> list[str]:
    """Paths of what is not the same in two batches."""
    left, right = dict(leaves(one)), dict(leaves(other))
    return [name for name in left.keys() | right.keys() if not _same(left.get(name), right.get(name))]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return type(one) is type(other) and (one is other or bool(one == other))


def distance(left: Tensor, right: Tensor) -> float:
    """Largest absolute difference; infinite where shapes differ or a value is not a number."""
    if left.shape != right.shape:
        return float("inf")
    if not left.numel():
        return 0.0
    largest = float((left.detach().double() - right.detach().double()).abs().max())
    return largest if largest == largest else float("inf")


def near(one: Any, other: Any) -> bool:
    """Whether two answers are the same, numbers to 1e-5."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=NEAR, abs_tol=NEAR)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(near(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(near, one, other))
    return bool(one == other)
