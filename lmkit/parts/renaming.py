"""Weights under other names: between an encoder's parameters and those of its architecture in transformers.

Pure renaming of tensors: nothing is imported from transformers, and both directions are strict, so that no weight is
ever lost in silence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from lmkit.errors import FitError
from lmkit.interfaces import Renamed


def to_transformers(names: Mapping[str, Renamed], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`weights` under the names that transformers gives them; one that is several there is cut into its parts.

    Raises FitError where `names` and `weights` do not name the same parameters.
    """
    _same(names.keys(), weights.keys(), "of the encoder")
    theirs: dict[str, Tensor] = {}
    for ours, renamed in names.items():
        parts = [weights[ours]]
        if len(renamed.names) > 1:
            size = len(weights[ours]) // len(renamed.names)
            parts = [*torch.split(weights[ours], list(renamed.sizes) or size)]
        for name, part in zip(renamed.names, parts, strict=True):
            theirs[name] = (part.t() if renamed.transposed else part).contiguous()
    return theirs


def from_transformers(names: Mapping[str, Renamed], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that transformers stores, under the encoder's own names.

    Raises FitError where a weight is missing, or is none of the encoder's.
    """
    _same({name for renamed in names.values() for name in renamed.names}, weights.keys(), "in transformers")
    ours: dict[str, Tensor] = {}
    for name, renamed in names.items():
        parts = [weights[part].t() if renamed.transposed else weights[part] for part in renamed.names]
        ours[name] = torch.cat(parts) if len(parts) > 1 else parts[0].contiguous()
    return ours


def _same(wanted: Collection[str], given: Collection[str], where: str) -> None:
    missing, unknown = sorted(set(wanted) - set(given)), sorted(set(given) - set(wanted))
    if missing or unknown:
        raise FitError(f"weights {where}: missing {_some(missing)}; unknown {_some(unknown)}")


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:3])} and {len(names) - 3} more" if len(names) > 3 else ", ".join(names) or "none"
