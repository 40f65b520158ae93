"""The reference objectives, one for each kind of attention: what an encoder under test is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lmkit.batch import Attention, Example, Packed, pack
from lmkit.errors import FitError
from lmkit.interfaces import Encoder, Objective, Vocabulary
from lmkit.parts.heads import VocabularyHead
from lmkit.parts.losses import LossConfig
from lmkit.parts.scored import ScoredBatch


@attrs.frozen(kw_only=True)
class PredictingConfig:
    """What batches carry besides the inputs."""

    context: bool = False
    """Whether a batch carries the examples once more, as context for encoders that read one."""


class _Predicting(Objective[ScoredBatch]):
    """What the three references share: some tokens of each sequence are predicted by a vocabulary head."""

    Config = PredictingConfig

    def __init__(self, config: PredictingConfig, vocabulary: Vocabulary) -> None:
        self.config = config
        self._special = vocabulary.special
        self._special_ids = vocabulary.special_ids()

    @property
    def weights(self) -> Mapping[str, float]:
        return {"loss": 1.0}

    def build_head(self, encoder: Encoder) -> VocabularyHead:
        return VocabularyHead(encoder, self.head_kind)

    def _batch(
        self, examples: Sequence[Example], inputs: Packed, scored: npt.NDArray[np.int64], targets: npt.NDArray[np.int64]
    ) -> ScoredBatch:
        if self.config.context:
            context, _ = pack(examples, attention="bidirectional", filler=self._special["pad"])
            inputs = attrs.evolve(inputs, context=context)
        return ScoredBatch(
            inputs=inputs,
            counts={"loss": len(scored)},
            tokens=sum(len(e.tokens) for e in examples),
            scored=torch.from_numpy(scored),
            targets=torch.from_numpy(targets),
            weights=torch.ones(len(scored)),
        )

    def loss(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch) -> dict[str, Tensor]:
        assert isinstance(head, VocabularyHead)
        hidden, embedding = encoder(batch.inputs)[batch.scored], encoder.token_embedding.weight
        return {"loss": head.loss_sum(hidden, embedding, batch.targets, batch.weights, LossConfig())}

    def measure(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch) -> dict[str, Tensor]:
        logits = head(encoder(batch.inputs)[batch.scored], encoder.token_embedding.weight)
        right = (logits.argmax(-1) == batch.targets).sum()
        return {**self.loss(encoder, head, batch), "loss.accuracy": right}


class Denoising(_Predicting):
    """Predict the third of the tokens that was masked, each at its own position."""

    name = "reference-denoising"
    head_kind = "token"
    attention: Attention = "bidirectional"

    def __init__(self, config: PredictingConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        if "mask" not in vocabulary.special:
            raise FitError(f'objective "{self.name}" needs a tokenizer with a mask token; this one has none')

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        changed, places, targets = [], [], []
        for example in examples:
            ordinary = np.flatnonzero(~np.isin(example.tokens, self._special_ids))
            chosen = np.sort(example.rng().choice(ordinary, -(-len(ordinary) // 3), replace=False))
            tokens = np.array(example.tokens, np.int64)
            targets.append(tokens[chosen])
            tokens[chosen] = self._special["mask"]
            changed.append(attrs.evolve(example, tokens=tokens))
            places.append(chosen)
        inputs, starts = pack(changed, attention=self.attention, filler=self._special["pad"])
        scored = np.concatenate([start + place for start, place in zip(starts, places, strict=True)])
        return self._batch(changed, inputs, scored, np.concatenate(targets))


class Continuing(_Predicting):
    """Predict each token from those before it."""

    name = "reference-continuing"
    head_kind = "next-token"
    attention: Attention = "causal"

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        inputs, _ = pack(examples, attention=self.attention, filler=self._special["pad"])
        spans = zip(inputs.first.tolist(), inputs.last.tolist(), strict=True)
        scored = np.concatenate([np.arange(first, last) for first, last in spans])
        return self._batch(examples, inputs, scored, inputs.tokens.numpy()[scored + 1])


class Prefixed(_Predicting):
    """Predict the second half of each sequence from left to right; the first half is seen whole."""

    name = "reference-prefixed"
    head_kind = "next-token"
    attention: Attention = "mixed"

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        reach = [np.concatenate([_half_seen(n) for n in example.lengths]) for example in examples]
        inputs, _ = pack(examples, attention=self.attention, filler=self._special["pad"], reach=reach)
        spans = zip(inputs.first.tolist(), inputs.last.tolist(), strict=True)
        scored = np.concatenate([np.arange(first + max(0, (last - first + 1) // 2 - 1), last) for first, last in spans])
        return self._batch(examples, inputs, scored, inputs.tokens.numpy()[scored + 1])


def _half_seen(length: int) -> npt.NDArray[np.int64]:
    """[length] how far each token sees: the first half to its end, what follows to itself."""
    reach: npt.NDArray[np.int64] = np.maximum(np.arange(length), length // 2 - 1)
    return reach
