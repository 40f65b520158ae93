"""Sizes: one dial for the shape of a model and of the steps that train it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from lmkit.errors import ConfigError
from lmkit.spelling import did_you_mean


@attrs.frozen
class Size:
    """Layers and width as in Turc et al. 2019 (Well-read students learn better), and batches that feed them."""

    layers: int
    width: int
    block_tokens: int
    batch_tokens: int
    vocabulary: int

    @property
    def parameters(self) -> int:
        """Of the layers, roughly: twelve matrices of width x width each."""
        return 12 * self.layers * self.width**2


SIZES: Mapping[str, Size] = MappingProxyType(
    {
        "tiny": Size(2, 128, 128, 4096, 4096),
        "mini": Size(4, 256, 128, 8192, 8192),
        "small": Size(8, 512, 256, 16384, 16384),
        "base": Size(12, 768, 512, 65536, 32768),
    }
)
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMB])", re.IGNORECASE)
_SCALES = {"K": 1e3, "M": 1e6, "B": 1e9}
_DEEPEST = 48


def size_of(asked: str) -> Size:
    """The size of that name, or the one whose layers have about so many parameters ("30M").

    Raises ConfigError for neither.
    """
    if asked in SIZES:
        return SIZES[asked]
    found = _NUMBER.fullmatch(asked)
    if found is None:
        known = ", ".join(SIZES)
        raise ConfigError("--size", [f"expected {known} or parameters such as 30M, got {asked!r}.{_near(asked)}"])
    wanted = float(found[1]) * _SCALES[found[2].upper()]
    # As deep as the named sizes are at their width: a layer for each 64 of it.
    shapes = [Size(min(layers, _DEEPEST), 64 * layers, 512, 65536, 32768) for layers in range(2, 129)]
    nearest = min(shapes, key=lambda size: abs(size.parameters - wanted))
    if not wanted / 2 < nearest.parameters < 2 * wanted:
        raise ConfigError("--size", [f"expected some 400K to 80B parameters, got {asked!r}"])
    below = [size for size in SIZES.values() if size.width <= nearest.width]
    like = below[-1] if below else SIZES["tiny"]
    return attrs.evolve(
        nearest, block_tokens=like.block_tokens, batch_tokens=like.batch_tokens, vocabulary=like.vocabulary
    )


def _near(asked: str) -> str:
    return did_you_mean(asked, SIZES)


def fields_of(size: Size, config: type[Any], section: str) -> dict[str, Any]:
    """The fields that a Config of this section has of a size."""
    values = {
        "encoder": {"layers": size.layers, "width": size.width},
        "tokenizer": {"vocab_size": size.vocabulary},
        "train": {"block_tokens": size.block_tokens, "batch_tokens": size.batch_tokens},
    }[section]
    return {name: value for name, value in values.items() if name in attrs.fields_dict(config)}
