"""An objective of next tokens, all of them or those that an example marks: what causal models are trained with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lmkit.batch import Attention, Example, IntArray, pack
from lmkit.interfaces import Encoder, Objective, Vocabulary
from lmkit.parts.heads import VocabularyHead
from lmkit.parts.losses import LossConfig
from lmkit.parts.scored import ScoredBatch


class Continuation(Objective[ScoredBatch]):
    """Predict tokens from those before them; a subclass names it, and so its loss term.

    `Example.target`, where given, is [n] bool: which of its tokens are predicted.  By default all are; a sequence's
    first token never is.
    """

    head_kind = "next-token"
    attention: Attention = "causal"

    def __init__(self, config: LossConfig, vocabulary: Vocabulary) -> None:
        self.config = config
        self._filler = vocabulary.special["pad"]

    @property
    def weights(self) -> Mapping[str, float]:
        return {self.name: 1.0}

    def build_head(self, encoder: Encoder) -> VocabularyHead:
        return VocabularyHead(encoder, self.head_kind, attention=self.attention)

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        prepared = [self.prepared(example, progress) for example in examples]
        read = [example for example, _ in prepared]
        return self.batch(read, [seen for _, seen in prepared if seen is not None])

    def batch(
        self, read: Sequence[Example], reach: Sequence[IntArray] = (), contexts: Sequence[Example] | None = None
    ) -> ScoredBatch:
        """What is read with its targets; `contexts` are what each sequence reads across, where it does."""
        inputs, starts = pack(
            read, attention=self.attention, filler=self._filler, reach=reach or None, contexts=contexts
        )
        total = inputs.tokens.numel()
        weights = np.zeros(total, np.float32)
        for example, start in zip(read, starts, strict=True):
            # The token at i is predicted from i - 1.
            weights[start : start + len(example.tokens) - 1] = predicted(example)[1:]
        targets = np.zeros(total, np.int64)
        targets[:-1] = inputs.tokens.numpy()[1:]
        return ScoredBatch(
            inputs=inputs,
            counts={self.name: int(weights.sum())},
            tokens=sum(len(e.tokens) for e in (*read, *(contexts or ()))),
            scored=torch.arange(total),
            targets=torch.from_numpy(targets),
            weights=torch.from_numpy(weights),
        )

    def prepared(self, example: Example, progress: float | None) -> tuple[Example, IntArray | None]:
        """What is read and predicted of `example`, and where `attention` is "mixed" [n] how far each token sees."""
        return example, None

    def loss(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch) -> dict[str, Tensor]:
        return self._sums(encoder, head, batch, self.config)

    def measure(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch) -> dict[str, Tensor]:
        """The cross entropy alone, whatever is added to it in training."""
        return self._sums(encoder, head, batch, LossConfig())

    def _sums(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch, config: LossConfig) -> dict[str, Tensor]:
        assert isinstance(head, VocabularyHead)
        hidden, embedding = encoder(batch.inputs), encoder.token_embedding.weight
        return {self.name: head.loss_sum(hidden, embedding, batch.targets, batch.weights, config)}


def predicted(example: Example) -> npt.NDArray[np.bool_]:
    """[n] which tokens are predicted: those that its target marks, or all; a sequence's first never is."""
    wanted = np.ones(len(example.tokens), bool) if example.target is None else np.array(example.target, bool)
    wanted[np.cumsum((0, *example.lengths[:-1]))] = False
    return wanted


def sequences(example: Example) -> Iterator[slice]:
    """Where each sequence of an example stands among its tokens."""
    begin = 0
    for length in example.lengths:
        yield slice(begin, begin + length)
        begin += length
