"""One state for a sequence, and the head that makes scores of it: what classes, numbers and choices have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import attrs
import torch
from attrs import validators
from torch import Tensor, nn

from lmkit.batch import Attention, Batch, Packed
from lmkit.interfaces import Encoder, Objective, Vocabulary
from lmkit.parts.heads import Transform
from lmkit.parts.layers import draw_weights

Its = TypeVar("Its", bound=Batch)
Pooling = Literal["own", "mean", "first", "last"]


@attrs.frozen(kw_only=True)
class StateConfig:
    """How a sequence's states become one."""

    pooling: Literal["own", "mean"] = "own"
    """One state for a sequence: the encoder's own (BERT's pooler, GPT's last token), or the mean of all."""
    dropout: float = attrs.field(default=0.1, validator=[validators.ge(0), validators.lt(1)])
    """Share of that state dropped in training."""
    attention: Literal["bidirectional", "causal"] = "bidirectional"
    """As the encoder was pre-trained: bidirectional for masked language models, causal for a GPT."""


class StateHead(nn.Module):
    """A sequence's state -> `outputs` scores of it."""

    def __init__(self, encoder: Encoder, outputs: int, config: StateConfig, *, bias: bool = True) -> None:
        super().__init__()
        style = encoder.head_style
        self.pooling = config.pooling
        self.attention: Attention = config.attention
        self.dropout = nn.Dropout(config.dropout)
        self.before = Transform(encoder, wanted=style.transform_always)
        self.dense = nn.Linear(encoder.width, outputs, bias=bias and style.class_bias)
        draw_weights(self, 0.02)

    def forward(self, encoder: Encoder, inputs: Packed) -> Tensor:
        """[S, outputs] scores of the sequences of `inputs`."""
        state = self.before.transform(pool(encoder, encoder(inputs), inputs, self.pooling))
        scores: Tensor = self.dense(self.dropout(state))
        return scores


class StateObjective(Objective[Its]):
    """An objective whose head is a StateHead; a subclass names it, and so its loss term."""

    attention: Attention = "bidirectional"
    pools: bool = True

    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        self.config = config
        self.attention = config.attention
        self.pools = config.pooling == "own"
        self._filler = vocabulary.special["pad"]

    @property
    def weights(self) -> Mapping[str, float]:
        return {self.name: 1.0}


def pool(encoder: Encoder, hidden: Tensor, inputs: Packed, pooling: Pooling) -> Tensor:
    """[S, width] one state of each sequence's hidden states [T, width]."""
    match pooling:
        case "own":
            return encoder.pool(hidden, inputs)
        case "mean":
            return mean_pool(hidden, inputs)
        case "first":
            return hidden[inputs.first]
        case "last":
            return hidden[inputs.last]


def mean_pool(hidden: Tensor, inputs: Packed) -> Tensor:
    """[S, width] mean of each sequence's hidden states [T, width]."""
    begins, order = inputs.first.sort()  # examples need not lie in their order
    places = torch.arange(len(hidden), device=hidden.device)
    owner = order[torch.bucketize(places, begins, right=True) - 1]
    inside = (places <= inputs.last[owner])[:, None]  # what follows a sequence may be filler
    sums = hidden.new_zeros(len(order), hidden.shape[1]).index_add(0, owner, hidden * inside)
    return sums / (inputs.last - inputs.first + 1)[:, None]
