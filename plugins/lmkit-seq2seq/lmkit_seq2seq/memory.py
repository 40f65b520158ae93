"""Memory: what a decoder reads across, laid out by sequence, since sequence i reads the context's sequence i."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

from lmkit.batch import Packed
from lmkit.parts.attention import KeyValueCache


class Places(NamedTuple):
    """Where each sequence's tokens lie in a packed batch; a tuple, into which torch.compile sees."""

    at: Tensor
    """[S, L] of the T tokens; what is beyond a sequence's end repeats its last token."""
    real: Tensor
    """[S, L] whether a place is one of the sequence's own."""

    def gather(self, states: Tensor) -> Tensor:
        """[T, W] -> [S, L, W]."""
        return states[self.at]

    def scatter(self, states: Tensor, tokens: int) -> Tensor:
        """[S, L, W] -> [T, W], with zeros where no sequence lies."""
        places = torch.where(self.real, self.at, tokens).flatten()  # what is not real goes behind the end
        laid = states.new_zeros(tokens + 1, states.shape[-1])
        return laid.index_copy(0, places, states.flatten(0, 1))[:tokens]


def places_of(packed: Packed) -> Places:
    """Where the real sequences of `packed` lie."""
    steps = torch.arange(packed.row_tokens, device=packed.first.device)
    index = packed.first[:, None] + steps
    return Places(torch.minimum(index, packed.last[:, None]), index <= packed.last[:, None])


class Memory(NamedTuple):
    """The context's states, by sequence."""

    states: Tensor
    """[S, L, W]"""
    bias: Tensor
    """[S, 1, 1, L]: 0 where there is a state, -inf beyond a sequence's end."""


def memory_of(context: Packed, states: Tensor) -> Memory:
    """The memory of a context whose states [T, W] an encoder has made."""
    places = places_of(context)
    bias = torch.zeros(places.real.shape, dtype=torch.float32, device=states.device)
    return Memory(places.gather(states), bias.masked_fill_(~places.real, -math.inf)[:, None, None])


class MemoryCache(KeyValueCache):
    """What a decoder has read of its own, and the memory that it reads across, which is made once."""

    memory: Memory | None = None

    def select(self, rows: Tensor) -> Self:
        chosen = super().select(rows)
        if self.memory is not None:
            chosen.memory = Memory(self.memory.states[rows], self.memory.bias[rows])
        return chosen
