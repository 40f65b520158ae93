"""Attention within packed sequences: one mask rule for every kind, the kernel chosen by size and shape.

Two kernels on the CPU, measured with a document mask, forward and backward, on 8,192 tokens of 4 heads x 64: in bf16
two batched products and a softmax beat `scaled_dot_product_attention` up to rows of 512 (22 against 68 ms at 128),
in fp32 up to 128 (72 against 121 ms); above that the fused kernel wins, and its memory does not grow with the square.
"""

from __future__ import annotations

import math
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from lmkit.batch import Cache, Packed

# Longest row for which plain products win on a CPU, by dtype.
_PRODUCTS_UP_TO = {torch.bfloat16: 512, torch.float16: 512, torch.float32: 128}


def attention_mask(inputs: Packed, window: int | None = None) -> Tensor:
    """Who sees whom: [R, 1, row_tokens, keys] bool, True where a query (third axis) may look at a key (fourth).

    Within a row a token sees its own sequence only, up to its reach, and no further than `window` tokens either way.
    With a KeyValueCache keys are the cache's slots.
    """
    rows, length = inputs.rows, inputs.row_tokens
    positions = inputs.positions.view(rows, length)
    reach = positions
    if inputs.attention == "mixed" and inputs.reach is not None:
        reach = inputs.reach.view(rows, length)
    if isinstance(inputs.cache, KeyValueCache):
        slots = torch.arange(inputs.cache.capacity, device=positions.device)
        seen = slots <= reach[:, :, None]
        return (seen if window is None else seen & ((slots - positions[:, :, None]).abs() <= window))[:, None]
    documents = inputs.documents.view(rows, length)
    same = documents[:, :, None] == documents[:, None, :]
    if window is not None:
        same &= (positions[:, :, None] - positions[:, None, :]).abs() <= window
    if inputs.attention == "bidirectional":
        return same[:, None]
    return (same & (positions[:, None, :] <= reach[:, :, None]))[:, None]


def attention_bias(inputs: Packed, dtype: torch.dtype, window: int | None = None) -> Tensor:
    """`attention_mask` as what is added to scores: 0 where seen, -inf elsewhere; made once a batch, for all layers."""
    mask = attention_mask(inputs, window)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -math.inf)


def compute_dtype(states: Tensor) -> torch.dtype:
    """The dtype in which matrix products of `states` are done: autocast's, or their own."""
    kind = states.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else states.dtype


def attend(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor, dropout: float = 0.0, *, scale: float | None = None
) -> Tensor:
    """Scaled dot-product attention of [R, H, L, D] queries over [R, H, K, D] keys and values; returns [R, H, L, D].

    `bias` [R, 1 or H, L, K] is added to the scores, which are multiplied by `scale`, D^-1/2 by default.  (Vaswani et
    al. 2017, section 3.2.1.)
    """
    longest = _PRODUCTS_UP_TO.get(query.dtype, 0) if query.device.type == "cpu" else 0
    if key.shape[2] > longest:
        mask = bias.to(query.dtype)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, scale=scale)
    scores = (query * (query.shape[-1] ** -0.5 if scale is None else scale)) @ key.transpose(-1, -2)
    probabilities = torch.softmax(scores + bias, dim=-1, dtype=query.dtype)
    if dropout:
        probabilities = F.dropout(probabilities, dropout)
    return probabilities @ value


def split_heads(states: Tensor, heads: int, row_tokens: int) -> Tensor:
    """[T, H * D] -> [R, H, row_tokens, D]."""
    return states.view(-1, row_tokens, heads, states.shape[-1] // heads).transpose(1, 2)


def merge_heads(states: Tensor) -> Tensor:
    """[R, H, row_tokens, D] -> [T, H * D]."""
    rows, heads, length, size = states.shape
    return states.transpose(1, 2).reshape(rows * length, heads * size)


class KeyValueCache(Cache):
    """Keys and values of every layer for one sequence a row; a token's slot is its position."""

    def __init__(self, layers: int, sequences: int, heads: int, capacity: int, head_width: int) -> None:
        self.capacity = capacity
        # One slot more than the capacity: filler is written there, and no query looks at it.
        self._shape = (sequences, heads, capacity + 1, head_width)
        self._keys: list[Tensor | None] = [None] * layers
        self._values: list[Tensor | None] = [None] * layers

    def extend(self, layer: int, inputs: Packed, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add `layer`'s new keys and values [R, H, L, D]; returns all of them [R, H, capacity, D]."""
        keys, values = self._keys[layer], self._values[layer]
        if keys is None or values is None:
            keys, values = key.new_zeros(self._shape), value.new_zeros(self._shape)
            self._keys[layer], self._values[layer] = keys, values
        real = inputs.documents == 0
        slots = torch.where(real, inputs.positions, self.capacity).view(inputs.rows, 1, inputs.row_tokens, 1)
        slots = slots.expand(key.shape)
        keys.scatter_(2, slots, key)
        values.scatter_(2, slots, value)
        return keys[:, :, : self.capacity], values[:, :, : self.capacity]

    def select(self, rows: Tensor) -> Self:
        """A cache of these rows only, in this order."""
        chosen = type(self).__new__(type(self))
        chosen.capacity = self.capacity
        chosen._shape = (len(rows), *self._shape[1:])
        chosen._keys = [None if k is None else k[rows] for k in self._keys]
        chosen._values = [None if v is None else v[rows] for v in self._values]
        return chosen
