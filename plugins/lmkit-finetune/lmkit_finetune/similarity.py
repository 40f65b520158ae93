"""Objective "similarity": the cosine of two sequences' states is what a pair's similarity says.

The squared error of the cosine (Reimers & Gurevych 2019, "Sentence-BERT", section 3).  Each pair's loss is its own, so
that losses of batches add up; where other pairs of a batch serve as negatives they do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import attrs
import torch
from torch import Tensor, nn

from lmkit.batch import Attention, Batch, Example, Packed, pack
from lmkit.errors import DataError
from lmkit.interfaces import Encoder, Objective, Vocabulary
from lmkit_finetune.state import pool


@attrs.frozen(kw_only=True)
class SimilarityConfig:
    """How a sequence's states become one."""

    pooling: Literal["mean", "first", "last"] = "mean"
    """One state for a text: the mean of all, the first token's or the last one's."""
    attention: Literal["bidirectional", "causal"] = "bidirectional"
    """As the encoder was pre-trained: bidirectional for masked language models, causal for a GPT."""


@attrs.frozen(eq=False, kw_only=True)
class SimilarityBatch(Batch):
    """Pairs of sequences, one after the other, with their similarities."""

    targets: Tensor
    """[S / 2] float32, from 0 to 1."""


class EmbeddingHead(nn.Module):
    """A sequence's states -> its embedding; it has no parameters, so that any encoder has it at once."""

    def __init__(self, pooling: Literal["mean", "first", "last"], attention: Attention) -> None:
        super().__init__()
        self.pooling = pooling
        self.attention = attention

    def forward(self, encoder: Encoder, inputs: Packed) -> Tensor:
        """[S, width] embeddings of the sequences of `inputs`."""
        return pool(encoder, encoder(inputs), inputs, self.pooling)


class Similarity(Objective[SimilarityBatch]):
    """How alike two sequences are; an example has both, and its target is their similarity from 0 to 1."""

    name = "similarity"
    Config = SimilarityConfig
    head_kind = "embedding"
    attention: Attention = "bidirectional"

    def __init__(self, config: SimilarityConfig, vocabulary: Vocabulary) -> None:
        self.config = config
        self.attention = config.attention
        self._filler = vocabulary.special["pad"]

    @property
    def weights(self) -> Mapping[str, float]:
        return {"similarity": 1.0}

    def build_head(self, encoder: Encoder) -> EmbeddingHead:
        return EmbeddingHead(self.config.pooling, self.config.attention)

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> SimilarityBatch:
        for example in examples:
            target = example.target
            if len(example.lengths) != 2 or not isinstance(target, (int, float)) or not 0 <= target <= 1:
                raise DataError(
                    f"example {example.key}: wanted two sequences and their similarity from 0 to 1, "
                    f"got {len(example.lengths)} and {target!r:.40}"
                )
        inputs, _ = pack(examples, attention=self.attention, filler=self._filler)
        return SimilarityBatch(
            inputs=inputs,
            counts={"similarity": len(examples)},
            tokens=sum(len(e.tokens) for e in examples),
            targets=torch.tensor([float(example.target) for example in examples]),
        )

    def loss(self, encoder: Encoder, head: nn.Module, batch: SimilarityBatch) -> dict[str, Tensor]:
        states = head(encoder, batch.inputs).float()
        cosines = nn.functional.cosine_similarity(states[0::2], states[1::2])
        return {"similarity": (cosines - batch.targets).square().sum()}
