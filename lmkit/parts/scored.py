"""Batches of objectives that predict tokens: which positions are scored, and what is right there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import attrs
import numpy as np
import torch
from torch import Tensor

from lmkit.batch import Batch, IntArray


@attrs.frozen(eq=False, kw_only=True)
class ScoredBatch(Batch):
    """Only scored positions reach the vocabulary head; their number is constant, unused slots weigh 0."""

    scored: Tensor
    """[N] indices into the batch's T tokens."""
    targets: Tensor
    """[N] token ids to predict there."""
    weights: Tensor
    """[N] float32: 1 where a prediction counts, 0 in an unused slot."""

    def asked(self) -> Iterator[tuple[int, int]]:
        yield from used(self.scored, self.targets, self.weights)


def used(scored: Tensor, targets: Tensor, weights: Tensor) -> Iterator[tuple[int, int]]:
    """Place and id of each slot that counts."""
    for place, target, weight in zip(scored.tolist(), targets.tolist(), weights.tolist(), strict=True):
        if weight:
            yield place, target


class Slots(NamedTuple):
    """What a batch predicts, the unused slots behind the used ones; as in ScoredBatch."""

    scored: Tensor
    targets: Tensor
    weights: Tensor


def slots(scored: Sequence[IntArray], targets: Sequence[IntArray], room: int) -> Slots:
    """[room] slots of which the first hold each example's `scored` places and `targets`, in order."""
    used = sum(map(len, scored))
    places, ids, weights = np.zeros(room, np.int64), np.zeros(room, np.int64), np.zeros(room, np.float32)
    if used:
        places[:used], ids[:used], weights[:used] = np.concatenate(scored), np.concatenate(targets), 1
    return Slots(torch.from_numpy(places), torch.from_numpy(ids), torch.from_numpy(weights))


def rounded_up(count: int, to: int) -> int:
    """The next multiple of `to`, so that compiled code sees few shapes."""
    return -(-count // to) * to
