"""Objective "hybrid": masked and causal language modelling on one network (GPT-BERT, Charpentier and Samuel 2024).

A masked token is predicted from the position before it ("masked next-token prediction", section 3), where a causal
model predicts it too: the two differ in what a token sees, and in whether there are masks, and share all weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs
import numpy as np
from attrs import validators
from torch import Tensor, nn

from lmkit.batch import Attention, Batch, Example, IntArray, pack
from lmkit.errors import FitError
from lmkit.interfaces import Encoder, Objective, Vocabulary
from lmkit.parts.continuation import predicted, sequences
from lmkit.parts.corruption import Masker, MaskingConfig
from lmkit.parts.heads import VocabularyHead
from lmkit.parts.losses import LossConfig
from lmkit.parts.scored import Slots, rounded_up, slots, used

SLOTS = 256
"""Predictions of a kind are rounded up to this, so that compiled code sees few shapes."""


@attrs.frozen(kw_only=True)
class HybridConfig(MaskingConfig):
    """How many rows are causal, and how the others are masked."""

    final_rate: float = attrs.field(default=0.15, validator=[validators.gt(0), validators.le(1)])
    """Share at the end, reached in a straight line; the paper's run went from 0.3 to 0.15."""
    causal_share: float = attrs.field(default=1 / 16, validator=[validators.gt(0), validators.lt(1)])
    """Share of rows that are read from left to right, and of the loss that is theirs."""


@attrs.frozen(eq=False, kw_only=True)
class HybridBatch(Batch):
    """Positions that are scored, ids to predict there, and 1 where that counts: of masked rows and of causal ones."""

    masked_at: Tensor
    """[M] indices into the batch's T tokens."""
    masked_targets: Tensor
    masked_weights: Tensor
    causal_at: Tensor
    """[C] indices into the batch's T tokens."""
    causal_targets: Tensor
    causal_weights: Tensor

    def asked(self) -> Iterator[tuple[int, int]]:
        yield from used(self.masked_at, self.masked_targets, self.masked_weights)
        yield from used(self.causal_at, self.causal_targets, self.causal_weights)


@attrs.frozen(eq=False)
class _Row:
    """An example as it is read: in one of the two ways."""

    example: Example
    reach: IntArray
    at: IntArray
    """Positions whose states predict."""
    targets: IntArray
    causal: bool


class Hybrid(Objective[HybridBatch]):
    """Predict next tokens from what stands before, and masked ones from all around; each row one or the other."""

    name = "hybrid"
    Config = HybridConfig
    head_kind = "masked-next-token"
    attention: Attention = "mixed"

    def __init__(self, config: HybridConfig, vocabulary: Vocabulary) -> None:
        if "mask" not in vocabulary.special:
            raise FitError('objective "hybrid" needs a tokenizer with a mask token; this one has none')
        self.config = config
        self._filler = vocabulary.special["pad"]
        self._masker = Masker(vocabulary, config)

    @property
    def weights(self) -> Mapping[str, float]:
        return {"masked": 1 - self.config.causal_share, "causal": self.config.causal_share}

    def build_head(self, encoder: Encoder) -> VocabularyHead:
        return VocabularyHead(encoder, self.head_kind)

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> HybridBatch:
        rate = self.config.rate_at(progress)
        rows: list[_Row] = []
        for example in examples:
            rng = example.rng()
            causal = bool(rng.random() < self.config.causal_share)
            if causal or progress is None:
                rows.append(_causal(example))
            if not causal or progress is None:
                rows.append(self._masked(example, rate, rng))
        inputs, starts = pack(
            [row.example for row in rows],
            attention=self.attention,
            filler=self._filler,
            reach=[row.reach for row in rows],
        )
        placed = list(zip(rows, starts.tolist(), strict=True))
        masked = [(row, start) for row, start in placed if not row.causal]
        causal_rows = [(row, start) for row, start in placed if row.causal]
        masked_at, masked_targets, masked_weights = _slots(masked)
        causal_at, causal_targets, causal_weights = _slots(causal_rows)
        return HybridBatch(
            inputs=inputs,
            counts={
                "masked": sum(len(row.at) for row, _ in masked),
                "causal": sum(len(row.at) for row, _ in causal_rows),
            },
            tokens=sum(len(e.tokens) for e in examples),
            masked_at=masked_at,
            masked_targets=masked_targets,
            masked_weights=masked_weights,
            causal_at=causal_at,
            causal_targets=causal_targets,
            causal_weights=causal_weights,
        )

    def loss(self, encoder: Encoder, head: nn.Module, batch: HybridBatch) -> dict[str, Tensor]:
        return self._sums(encoder, head, batch, self.config)

    def measure(self, encoder: Encoder, head: nn.Module, batch: HybridBatch) -> dict[str, Tensor]:
        """The cross entropies alone, whatever is added to them in training."""
        return self._sums(encoder, head, batch, LossConfig())

    def _sums(self, encoder: Encoder, head: nn.Module, batch: HybridBatch, config: LossConfig) -> dict[str, Tensor]:
        assert isinstance(head, VocabularyHead)
        hidden, embedding = encoder(batch.inputs), encoder.token_embedding.weight
        masked, causal = hidden[batch.masked_at], hidden[batch.causal_at]
        return {
            "masked": head.loss_sum(masked, embedding, batch.masked_targets, batch.masked_weights, config),
            "causal": head.loss_sum(causal, embedding, batch.causal_targets, batch.causal_weights, config),
        }

    def _masked(self, example: Example, rate: float, rng: np.random.Generator) -> _Row:
        corrupted = self._masker.corrupt(example.tokens, rate, rng)
        reach, first = np.empty(len(example.tokens), np.int64), np.zeros(len(example.tokens), bool)
        for where in sequences(example):
            reach[where] = where.stop - where.start - 1
            first[where.start] = True
        has_one_before = ~first[corrupted.scored]
        at, targets = corrupted.scored[has_one_before] - 1, corrupted.targets[has_one_before]
        return _Row(attrs.evolve(example, tokens=corrupted.tokens), reach, at, targets, causal=False)


def _causal(example: Example) -> _Row:
    tokens = np.asarray(example.tokens, np.int64)
    reach = np.concatenate([np.arange(length) for length in example.lengths])
    scored = np.flatnonzero(predicted(example))
    return _Row(example, reach, scored - 1, tokens[scored], causal=True)


def _slots(rows: Sequence[tuple[_Row, int]]) -> Slots:
    """What the rows predict, each of which begins at its place among the batch's tokens."""
    at, targets = [start + row.at for row, start in rows], [row.targets for row, _ in rows]
    return slots(at, targets, rounded_up(sum(map(len, at)), SLOTS))
