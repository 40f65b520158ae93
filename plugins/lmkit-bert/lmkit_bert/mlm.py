"""Objective "mlm": predict masked tokens at their own positions (Devlin et al. 2019, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
from torch import Tensor, nn

from lmkit.batch import Attention, Example, pack
from lmkit.errors import FitError
from lmkit.interfaces import Encoder, Objective, Vocabulary
from lmkit.parts.corruption import Masker, MaskingConfig
from lmkit.parts.heads import VocabularyHead
from lmkit.parts.scored import ScoredBatch, rounded_up, slots


@attrs.frozen(kw_only=True)
class MaskedConfig(MaskingConfig):
    """How much is masked, and with what."""


class MaskedLanguageModelling(Objective[ScoredBatch]):
    """Predict masked tokens at their own positions."""

    name = "mlm"
    Config = MaskedConfig
    head_kind = "token"
    attention: Attention = "bidirectional"

    def __init__(self, config: MaskedConfig, vocabulary: Vocabulary) -> None:
        if "mask" not in vocabulary.special:
            raise FitError('objective "mlm" needs a tokenizer with a mask token; this one has none')
        self.config = config
        self._filler = vocabulary.special["pad"]
        self._masker = Masker(vocabulary, config)

    @property
    def weights(self) -> Mapping[str, float]:
        return {"mlm": 1.0}

    def build_head(self, encoder: Encoder) -> VocabularyHead:
        return VocabularyHead(encoder, self.head_kind)

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        rate = self.config.rate_at(progress)
        corrupted = [self._masker.corrupt(e.tokens, rate, e.rng()) for e in examples]
        changed = [attrs.evolve(e, tokens=c.tokens) for e, c in zip(examples, corrupted, strict=True)]
        inputs, starts = pack(changed, attention=self.attention, filler=self._filler)
        room = sum(_room(e, len(c.scored), rate) for e, c in zip(examples, corrupted, strict=True))
        if not any(e.capacity for e in examples):
            room = rounded_up(room, 64)
        found = slots(
            [start + c.scored for start, c in zip(starts, corrupted, strict=True)], [c.targets for c in corrupted], room
        )
        return ScoredBatch(
            inputs=inputs,
            counts={"mlm": sum(len(c.scored) for c in corrupted)},
            tokens=sum(len(e.tokens) for e in examples),
            **found._asdict(),
        )

    def loss(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch) -> dict[str, Tensor]:
        assert isinstance(head, VocabularyHead)
        hidden = encoder(batch.inputs)[batch.scored]
        embedding = encoder.token_embedding.weight
        return {"mlm": head.loss_sum(hidden, embedding, batch.targets, batch.weights, self.config)}

    def measure(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch) -> dict[str, Tensor]:
        """The loss, and "mlm.accuracy": masked tokens whose likeliest prediction is right."""
        logits = head(encoder(batch.inputs)[batch.scored], encoder.token_embedding.weight).float()
        losses = nn.functional.cross_entropy(logits, batch.targets, reduction="none")
        right = (logits.argmax(-1) == batch.targets).float()
        return {"mlm": (losses * batch.weights).sum(), "mlm.accuracy": (right * batch.weights).sum()}


def _room(example: Example, scored: int, rate: float) -> int:
    """Room for an example's predictions: constant for the blocks of a batch, so that shapes are static."""
    if not example.capacity:
        return scored
    return rounded_up(max(1, round(rate * example.capacity)), 8)
