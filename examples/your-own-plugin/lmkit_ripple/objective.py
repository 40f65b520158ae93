"""Objective "reorder": neighbouring tokens are shuffled, and predicted in their places.

(StructBERT, Wang et al. 2019, section 2.2: of a text's tokens 5 % in groups of three.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
import numpy.typing as npt
from attrs import validators
from torch import Tensor, nn

from lmkit.batch import Attention, Example, pack
from lmkit.interfaces import Encoder, Objective, Vocabulary
from lmkit.parts.heads import VocabularyHead
from lmkit.parts.losses import LossConfig
from lmkit.parts.scored import ScoredBatch, rounded_up, slots

Ids = npt.NDArray[np.int64]


@attrs.frozen(kw_only=True)
class ReorderConfig(LossConfig):
    """How much is shuffled."""

    rate: float = attrs.field(default=0.15, validator=[validators.gt(0), validators.le(1)])
    """Share of tokens in shuffled groups; the paper has 0.05, beside masks."""
    group: int = attrs.field(default=3, validator=validators.ge(2))
    """Neighbours that are shuffled among each other."""


class Reorder(Objective[ScoredBatch]):
    """Predict what stood where tokens were shuffled."""

    name = "reorder"
    Config = ReorderConfig
    head_kind = "token"
    attention: Attention = "bidirectional"

    def __init__(self, config: ReorderConfig, vocabulary: Vocabulary) -> None:
        self.config = config
        self._filler = vocabulary.special["pad"]
        self._special = vocabulary.special_ids()

    @property
    def weights(self) -> Mapping[str, float]:
        return {"reorder": 1.0}

    def build_head(self, encoder: Encoder) -> VocabularyHead:
        return VocabularyHead(encoder, self.head_kind)

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        shuffled, places, targets = [], [], []
        for example in examples:
            tokens = np.array(example.tokens, np.int64)
            chosen = self._groups(tokens, example.rng())
            mixed = tokens.copy()
            rng = np.random.default_rng((*example.key, 1))
            for group in chosen:
                mixed[group] = tokens[rng.permutation(group)]
            where = np.sort(chosen.flatten())
            shuffled.append(attrs.evolve(example, tokens=mixed))
            places.append(where)
            targets.append(tokens[where])
        inputs, starts = pack(shuffled, attention=self.attention, filler=self._filler)
        scored = [start + where for start, where in zip(starts, places, strict=True)]
        count = sum(map(len, scored))
        return ScoredBatch(
            inputs=inputs,
            counts={"reorder": count},
            tokens=sum(len(example.tokens) for example in examples),
            **slots(scored, targets, rounded_up(count, 64))._asdict(),
        )

    def loss(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch) -> dict[str, Tensor]:
        return self._sums(encoder, head, batch, self.config)

    def measure(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch) -> dict[str, Tensor]:
        return self._sums(encoder, head, batch, LossConfig())

    def _sums(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch, config: LossConfig) -> dict[str, Tensor]:
        assert isinstance(head, VocabularyHead)
        hidden, embedding = encoder(batch.inputs)[batch.scored], encoder.token_embedding.weight
        return {"reorder": head.loss_sum(hidden, embedding, batch.targets, batch.weights, config)}

    def _groups(self, tokens: Ids, rng: np.random.Generator) -> Ids:
        """[groups, group] positions of neighbours to shuffle, none of them special."""
        size = self.config.group
        starts = np.arange(int(rng.integers(size)), len(tokens) - size + 1, size)
        groups = starts[:, None] + np.arange(size)
        groups = groups[~np.isin(tokens[groups], self._special).any(axis=1)]
        count = min(len(groups), max(1, round(self.config.rate * len(tokens) / size)))
        return rng.choice(groups, count, replace=False) if count else groups
