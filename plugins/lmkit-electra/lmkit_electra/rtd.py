"""Objective "rtd": tell which tokens of a text a generator has replaced (ELECTRA, Clark et al. 2020, section 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
import torch.nn.functional as F
from attrs import validators
from torch import Tensor, nn

from lmkit.batch import Attention, Example, pack
from lmkit.errors import FitError
from lmkit.interfaces import Encoder, Objective, Vocabulary
from lmkit.parts.corruption import Masker, MaskingConfig
from lmkit.parts.losses import LossConfig
from lmkit.parts.scored import ScoredBatch, rounded_up, slots
from lmkit_electra.heads import ElectraHead, inverse_cdf


@attrs.frozen(kw_only=True)
class ElectraConfig(MaskingConfig):
    """How much is masked for the generator, how wide that is, and how much each network's loss weighs."""

    rate: float = attrs.field(default=0.15, validator=[validators.gt(0), validators.le(1)])
    """Share of tokens that the generator fills in, at the start of training."""
    masked: float = attrs.field(default=1.0, validator=[validators.ge(0), validators.le(1)])
    """Share of those that become the mask token."""
    random: float = attrs.field(default=0.0, validator=[validators.ge(0), validators.le(1)])
    """Share of those that become a random token; the rest stay as they are."""
    generator: float = attrs.field(default=0.33, validator=[validators.gt(0), validators.le(1)])
    """Width of the generator as a share of the encoder's, rounded to whole heads."""
    generator_weight: float = attrs.field(default=1.0, validator=validators.ge(0))
    """Of the generator's loss."""
    discriminator_weight: float = attrs.field(default=50.0, validator=validators.gt(0))
    """Of the encoder's own loss."""


@attrs.frozen(eq=False, kw_only=True)
class ElectraBatch(ScoredBatch):
    """A masked batch, what stood there, and the numbers by which the generator draws."""

    original: Tensor
    """[T] the tokens before any was masked."""
    real: Tensor
    """[T] float32: 1 for a token, 0 for filler."""
    uniforms: Tensor
    """[N] one number from [0, 1) for each scored slot."""


class ReplacedTokenDetection(Objective[ElectraBatch]):
    """A generator fills masked tokens in, and the encoder tells its tokens from the text's own."""

    name = "rtd"
    Config = ElectraConfig
    head_kind = "replaced"
    attention: Attention = "bidirectional"

    def __init__(self, config: ElectraConfig, vocabulary: Vocabulary) -> None:
        if "mask" not in vocabulary.special:
            raise FitError('objective "rtd" needs a tokenizer with a mask token; this one has none')
        self.config = config
        self._vocabulary = vocabulary
        self._filler = vocabulary.special["pad"]
        self._masker = Masker(vocabulary, config)

    @property
    def weights(self) -> Mapping[str, float]:
        return {"generator": self.config.generator_weight, "discriminator": self.config.discriminator_weight}

    def build_head(self, encoder: Encoder) -> ElectraHead:
        """Raises FitError for an encoder that does not say how to make a smaller one of itself."""
        return ElectraHead(encoder, encoder.smaller(self.config.generator), self._vocabulary)

    def head_roles(self, head: nn.Module) -> Mapping[str, str]:
        assert isinstance(head, ElectraHead)
        roles = {name: "head" if role == "embedding" else role for name, role in head.generator.roles().items()}
        inner = {f"generator.{name}": role for name, role in roles.items()}
        return {**super().head_roles(head), **inner}

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ElectraBatch:
        rate = self.config.rate_at(progress)
        rngs = [example.rng() for example in examples]
        corrupted = [self._masker.corrupt(e.tokens, rate, rng) for e, rng in zip(examples, rngs, strict=True)]
        changed = [attrs.evolve(e, tokens=c.tokens) for e, c in zip(examples, corrupted, strict=True)]
        inputs, starts = pack(changed, attention=self.attention, filler=self._filler)
        original, real = inputs.tokens.numpy().copy(), np.zeros(inputs.tokens.numel(), np.float32)
        for example, start in zip(examples, starts, strict=True):
            own = slice(start, start + len(example.tokens))
            original[own], real[own] = example.tokens, 1
        count, tokens = sum(len(c.scored) for c in corrupted), sum(len(e.tokens) for e in examples)
        room = rounded_up(count, 64)
        uniforms = np.zeros(room, np.float32)
        drawn = [rng.random(len(c.scored), np.float32) for rng, c in zip(rngs, corrupted, strict=True)]
        uniforms[:count] = np.concatenate(drawn)
        found = slots(
            [start + c.scored for start, c in zip(starts, corrupted, strict=True)], [c.targets for c in corrupted], room
        )
        return ElectraBatch(
            inputs=inputs,
            counts={"generator": count, "discriminator": tokens},
            tokens=tokens,
            **found._asdict(),
            original=torch.from_numpy(original),
            real=torch.from_numpy(real),
            uniforms=torch.from_numpy(uniforms),
        )

    def loss(self, encoder: Encoder, head: nn.Module, batch: ElectraBatch) -> dict[str, Tensor]:
        generator, logits, replaced = self._both(encoder, head, batch, self.config)
        losses = F.binary_cross_entropy_with_logits(logits, replaced, reduction="none")
        return {"generator": generator, "discriminator": (losses * batch.real).sum()}

    def measure(self, encoder: Encoder, head: nn.Module, batch: ElectraBatch) -> dict[str, Tensor]:
        """Both losses, and "discriminator.accuracy": tokens of which it is rightly told whether they were replaced."""
        generator, logits, replaced = self._both(encoder, head, batch, LossConfig())
        losses = F.binary_cross_entropy_with_logits(logits, replaced, reduction="none")
        right = ((logits > 0) == (replaced > 0)).float()
        return {
            "generator": generator,
            "discriminator": (losses * batch.real).sum(),
            "discriminator.accuracy": (right * batch.real).sum(),
        }

    def _both(self, encoder: Encoder, head: nn.Module, batch: ElectraBatch, config: LossConfig) -> tuple[Any, ...]:
        """The generator's loss; [T] the discriminator's logits; [T] 1 where a token was replaced."""
        assert isinstance(head, ElectraHead)
        embedding = encoder.token_embedding.weight
        hidden = head.generator(batch.inputs)[batch.scored]
        generator = head.generator_loss(hidden, embedding, batch, config)
        with torch.no_grad():
            drawn = inverse_cdf(head.generator_features(hidden), embedding, head.generator_bias, batch.uniforms)
            # What an unused slot draws goes behind the end.
            places = torch.where(batch.weights > 0, batch.scored, len(batch.original))
            longer = F.pad(batch.original, (0, 1)).scatter(0, places, drawn)
            tokens = longer[:-1]
        logits = head.discriminate(encoder(batch.inputs.with_tokens(tokens))).float()
        return generator, logits, (tokens != batch.original).float()
