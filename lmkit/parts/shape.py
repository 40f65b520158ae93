"""The shape that most transformers have, as the part of a Config that their encoders share."""

from __future__ import annotations

from typing import Self

import attrs
from attrs import validators


@attrs.frozen(kw_only=True)
class Shape:
    """How deep and how wide a transformer is; the defaults are a small one that a laptop trains."""

    layers: int = attrs.field(default=4, validator=[validators.ge(1), validators.le(1000)])
    """Transformer blocks."""
    width: int = attrs.field(default=256, validator=[validators.ge(1), validators.le(1 << 17)])
    """Size of a hidden state."""
    heads: int | None = attrs.field(default=None, validator=validators.optional(validators.ge(1)))
    """Attention heads; by default one for each 64 of the width."""
    feed_forward: int | None = attrs.field(default=None, validator=validators.optional(validators.ge(1)))
    """Size of a block's inner layer; by default as many times the width as the architecture has."""
    dropout: float = attrs.field(default=0.0, validator=[validators.ge(0), validators.lt(1)])
    """Share of states and attention probabilities dropped in training; pre-training does best without."""

    @property
    def num_heads(self) -> int:
        return self.heads or max(1, self.width // 64)

    def narrower(self, factor: float) -> Self:
        """The same with `factor` times as many heads, at least one, of the same size."""
        heads = max(1, round(self.num_heads * factor))
        width = max(1, round(self.width * heads / self.num_heads))
        return attrs.evolve(self, width=width, heads=heads, feed_forward=None)
