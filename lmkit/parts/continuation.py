"""An objective of next tokens, all of them or those that an example marks: what causal models are trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lmkit.batch import Attention, Example, pack
from lmkit.interfaces import Encoder, Objective, Vocabulary
from lmkit.parts.heads import VocabularyHead
from lmkit.parts.losses import cross_entropy_sum
from lmkit.parts.scored import ScoredBatch


class Continuation(Objective[ScoredBatch]):
    """Predict tokens from those before them; a subclass names it, and so its loss term.

    `Example.target`, where given, is [n] bool: which of its tokens are predicted.  By default all are; a sequence's
    first token never is.
    """

    head_kind = "next-token"
    attention: Attention = "causal"

    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        self.config = config
        self._filler = vocabulary.special["pad"]

    @property
    def weights(self) -> Mapping[str, float]:
        return {self.name: 1.0}

    def build_head(self, encoder: Encoder) -> VocabularyHead:
        return VocabularyHead(encoder, self.head_kind)

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        inputs, starts = pack(examples, attention=self.attention, filler=self._filler)
        total = inputs.tokens.numel()
        weights = np.zeros(total, np.float32)
        for example, start in zip(examples, starts, strict=True):
            wanted = np.ones(len(example.tokens), bool) if example.target is None else np.array(example.target, bool)
            wanted[np.cumsum((0, *example.lengths[:-1]))] = False
            # The token at i is predicted from i - 1.
            weights[start : start + len(wanted) - 1] = wanted[1:]
        targets = np.zeros(total, np.int64)
        targets[:-1] = inputs.tokens.numpy()[1:]
        return ScoredBatch(
            inputs=inputs,
            counts={self.name: int(weights.sum())},
            tokens=sum(len(e.tokens) for e in examples),
            scored=torch.arange(total),
            targets=torch.from_numpy(targets),
            weights=torch.from_numpy(weights),
        )

    def loss(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch) -> dict[str, Tensor]:
        assert isinstance(head, VocabularyHead)
        features = head.transform(encoder(batch.inputs))
        embedding = encoder.token_embedding.weight
        return {self.name: cross_entropy_sum(features, embedding, batch.targets, bias=head.bias, weights=batch.weights)}
