"""Batches of objectives that predict tokens: which positions are scored, and what is right there."""

from __future__ import annotations

import attrs
from torch import Tensor

from lmkit.batch import Batch


@attrs.frozen(eq=False, kw_only=True)
class ScoredBatch(Batch):
    """Only scored positions reach the vocabulary head; their number is constant, unused slots weigh 0."""

    scored: Tensor
    """[N] indices into the batch's T tokens."""
    targets: Tensor
    """[N] token ids to predict there."""
    weights: Tensor
    """[N] float32: 1 where a prediction counts, 0 in an unused slot."""
