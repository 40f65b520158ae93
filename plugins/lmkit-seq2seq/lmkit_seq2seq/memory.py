"""Memory: what a decoder reads across. Its rows are the decoder's, and each sequence reads the one of its number."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

from lmkit.batch import Packed
from lmkit.parts.attention import KeyValueCache


class Memory(NamedTuple):
    """The context's keys and values; a tuple, into which torch.compile sees."""

    documents: Tensor
    """[R, K] the number of each state's sequence within its row."""
    keys_values: tuple[tuple[Tensor, Tensor], ...]
    """Of each layer, both [R, H, K, D]."""

    def bias(self, inputs: Packed, dtype: torch.dtype) -> Tensor:
        """[R, 1, L, K] what is added to scores: 0 within a sequence, -inf elsewhere."""
        own = inputs.documents.view(inputs.rows, inputs.row_tokens)
        seen = own[:, :, None] == self.documents[:, None, :]
        seen = seen | ~seen.any(-1, keepdim=True)  # what fills a row may have nothing to read
        return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, -math.inf)[:, None]

    def select(self, rows: Tensor) -> Memory:
        """Of these rows only, in this order."""
        return Memory(self.documents[rows], tuple((keys[rows], values[rows]) for keys, values in self.keys_values))


class MemoryCache(KeyValueCache):
    """What a decoder has read of its own, and the memory that it reads across, which is made once."""

    memory: Memory | None = None

    def select(self, rows: Tensor) -> Self:
        chosen = super().select(rows)
        if self.memory is not None:
            chosen.memory = self.memory.select(rows)
        return chosen
