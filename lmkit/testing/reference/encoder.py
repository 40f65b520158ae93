"""The reference encoder: one layer that can do all kinds of attention. It forgets order faster than attention would."""

from __future__ import annotations

from typing import ClassVar

import attrs
import torch
from torch import Tensor, nn

from lmkit.batch import Attention, Packed
from lmkit.interfaces import Encoder, HeadStyle, Vocabulary

LONGEST, FEW = 512, 48


@attrs.frozen(kw_only=True)
class ReferenceConfig:
    """The size of the reference."""

    width: int = 64
    """Size of a hidden state."""
    dropout: float = 0.0
    """Share of the states dropped in training."""


class ReferenceEncoder(Encoder):
    """A state is made of its token, its position and the mean of what it sees: a layer without attention weights."""

    name = "reference"
    Config = ReferenceConfig
    attention: ClassVar[frozenset[Attention]] = frozenset({"bidirectional", "causal", "mixed"})
    takes_context = True

    def __init__(self, config: ReferenceConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.width = config.width
        self.token_embedding = nn.Embedding(vocabulary.size, config.width)
        self.segment_embedding = nn.Embedding(2, config.width)
        self.show = nn.Linear(config.width, 2 * config.width)
        self.mix = nn.Linear(5 * config.width, 2 * config.width)
        self.out = nn.Linear(2 * config.width, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.normal_(self.token_embedding.weight, std=0.2)

    @property
    def longest(self) -> int:
        return LONGEST

    @property
    def head_style(self) -> HeadStyle:
        return HeadStyle(transform=True, bias=True)

    def smaller(self, factor: float) -> ReferenceConfig:
        return ReferenceConfig(width=max(4, round(self.width * factor)))

    def forward(self, inputs: Packed) -> Tensor:
        states = self.embed(inputs)
        shown = torch.relu(self.show(states)).view(inputs.rows, inputs.row_tokens, -1)
        sees = self.sees(inputs).to(shown.dtype)
        mean = (sees @ shown / sees.sum(-1, keepdim=True)).flatten(0, 1)
        mixed = torch.relu(self.mix(torch.cat([states, mean, self._across(inputs, mean)], dim=-1)))
        result: Tensor = self.norm(states + self.out(self.dropout(mixed)))
        return result

    def sees(self, inputs: Packed) -> Tensor:
        """[R, L, L] bool: who sees whom."""
        rows = (inputs.rows, inputs.row_tokens)
        documents, positions = inputs.documents.view(rows), inputs.positions.view(rows)
        same = documents[:, :, None] == documents[:, None, :]
        if inputs.attention == "bidirectional":
            return same
        reach = positions if inputs.attention == "causal" or inputs.reach is None else inputs.reach.view(rows)
        return same & (positions[:, None, :] <= reach[:, :, None])

    def embed(self, inputs: Packed) -> Tensor:
        """[T, width]: token, segment and position."""
        segments = torch.zeros_like(inputs.tokens) if inputs.segments is None else inputs.segments
        rates = torch.exp(-0.15 * torch.arange(self.width, device=inputs.tokens.device))
        waves = torch.cos(inputs.positions[:, None] * rates + torch.arange(self.width, device=rates.device))
        embedded: Tensor = self.token_embedding(inputs.tokens) + self.segment_embedding(segments)
        return embedded + 0.2 * waves

    def _across(self, inputs: Packed, like: Tensor) -> Tensor:
        """[T, 2 * width]: what each sequence reads of the context's; zero without one."""
        read = torch.zeros_like(like)
        if inputs.context is not None:
            context = torch.relu(self.show(self.embed(inputs.context)))
            theirs = zip(inputs.context.first.tolist(), inputs.context.last.tolist(), strict=True)
            ours = zip(inputs.first.tolist(), inputs.last.tolist(), strict=True)
            for (start, stop), (first, last) in zip(theirs, ours, strict=True):
                read[first : last + 1] = context[start : stop + 1].mean(0)
        return read


class ShortEncoder(ReferenceEncoder):
    """Reads few tokens, and fails at more, as one with a table of positions does."""

    name = "short"

    @property
    def longest(self) -> int:
        return FEW

    def forward(self, inputs: Packed) -> Tensor:
        if int(inputs.positions.max()) >= FEW:
            raise IndexError(f"position {int(inputs.positions.max())}, where the encoder's `longest` is {FEW}")
        return super().forward(inputs)
