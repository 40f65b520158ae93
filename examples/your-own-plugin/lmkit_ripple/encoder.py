"""Encoder "ripple": gated convolutions, each layer twice as wide-meshed as the one below it (van den Oord et al. 2016).

Sequences lie end to end in a batch, so a convolution has to know where they end: a neighbour counts only if it is of
the same sequence, which its position tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import attrs
import torch
from attrs import validators
from torch import Tensor, nn

from lmkit.batch import Attention, Packed
from lmkit.interfaces import Encoder, Vocabulary
from lmkit.parts.layers import draw_weights


@attrs.frozen(kw_only=True)
class RippleConfig:
    """The shape of the encoder."""

    layers: int = attrs.field(default=5, validator=[validators.ge(1), validators.le(12)])
    """Blocks; the n-th looks at neighbours 2^n tokens apart."""
    width: int = attrs.field(default=128, validator=validators.ge(1))
    """Size of a hidden state."""
    taps: int = attrs.field(default=3, validator=validators.ge(1))
    """Neighbours that a token looks at, on each side on which it may look."""


class Ripple(Encoder):
    """Gated convolutions over packed sequences, in both directions or in one."""

    name = "ripple"
    Config = RippleConfig
    attention: ClassVar[frozenset[Attention]] = frozenset({"bidirectional", "causal"})

    def __init__(self, config: RippleConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.config = config
        self.width = config.width
        self.token_embedding = nn.Embedding(vocabulary.size, config.width)
        self.blocks = nn.ModuleList(Block(config, 2**number) for number in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        draw_weights(self, 0.05)

    def forward(self, inputs: Packed) -> Tensor:
        hidden = self.token_embedding(inputs.tokens)
        for block in self.blocks:
            hidden = block(hidden, inputs)
        normed: Tensor = self.norm(hidden)
        return normed

    @property
    def layers(self) -> Sequence[nn.Module]:
        return tuple(self.blocks)

    def smaller(self, factor: float) -> Any:
        return attrs.evolve(self.config, width=max(4, round(self.config.width * factor)))


class Block(nn.Module):
    """What the neighbours say, gated by the token itself, and a feed-forward layer."""

    def __init__(self, config: RippleConfig, distance: int) -> None:
        super().__init__()
        width = config.width
        self.distance, self.taps = distance, config.taps
        self.mix_norm = nn.LayerNorm(width)
        self.mix_in = nn.Linear(width, 2 * width)
        self.behind = nn.Parameter(torch.randn(config.taps + 1, width) * 0.3)
        self.ahead = nn.Parameter(torch.randn(config.taps, width) * 0.3)
        self.mix_out = nn.Linear(width, width)
        self.inner_norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, 4 * width)
        self.outer = nn.Linear(4 * width, width)

    def forward(self, hidden: Tensor, inputs: Packed) -> Tensor:
        """[T, width] -> [T, width]."""
        values, gate = self.mix_in(self.mix_norm(hidden)).chunk(2, dim=-1)
        heard = values * self.behind[0]
        for tap in range(1, self.taps + 1):
            steps = tap * self.distance
            if steps >= inputs.row_tokens:
                break
            # `steps` before a token stands one of its own sequence if its position is at least that.
            own = (inputs.positions >= steps) & (inputs.documents == inputs.documents.roll(steps))
            heard = heard + torch.where(own[:, None], values.roll(steps, 0), 0) * self.behind[tap]
            # The parameter is used where nobody looks ahead too, so that it has a gradient: of zero.
            looks = own.roll(-steps) & (inputs.attention == "bidirectional")
            seen = torch.where(looks[:, None], values.roll(-steps, 0), 0)
            heard = heard + seen * self.ahead[tap - 1]
        hidden = hidden + self.mix_out(heard * torch.sigmoid(gate))
        summed: Tensor = hidden + self.outer(torch.relu(self.inner(self.inner_norm(hidden))))
        return summed
