"""A stack of T5's blocks, with the relative positions that they share."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmkit.batch import Packed
from lmkit.parts.attention import KeyValueCache, attend, attention_bias, compute_dtype, merge_heads, split_heads
from lmkit.parts.gelu import gelu
from lmkit.parts.layers import RootMeanSquareNorm
from lmkit_seq2seq.memory import Memory


class Stack(nn.Module):
    """The encoder, or the decoder: blocks and a norm behind them."""

    def __init__(
        self,
        *,
        layers: int,
        width: int,
        heads: int,
        head_width: int,
        feed_forward: int,
        gated: bool,
        buckets: int,
        farthest: int,
        dropout: float,
        eps: float,
        decoder: bool,
    ) -> None:
        super().__init__()
        self.is_decoder = decoder
        self.farthest = farthest
        self.drop = dropout
        self.relative = nn.Embedding(buckets, heads)
        self.blocks = nn.ModuleList(
            Block(width, heads, head_width, feed_forward, gated=gated, dropout=dropout, eps=eps, decoder=decoder)
            for _ in range(layers)
        )
        self.norm = RootMeanSquareNorm(width, eps)

    def forward(self, hidden: Tensor, inputs: Packed, memory: Memory | None) -> Tensor:
        """[T, width] -> [T, width]; `memory` is what the decoder reads across, if there is a context."""
        drop = self.drop if self.training else 0.0
        hidden = F.dropout(hidden, drop, bool(drop))
        dtype = compute_dtype(hidden)
        bias = attention_bias(inputs, dtype) + self._relative_bias(inputs).to(dtype)
        beyond = None if memory is None else memory.bias(inputs, dtype)
        for number, block in enumerate(self.blocks):
            across = None if memory is None else (*memory.keys_values[number], beyond)
            hidden = block(hidden, bias, inputs, number, across)
        return F.dropout(self.norm(hidden), drop, bool(drop))

    def memory(self, context: Packed, states: Tensor) -> Memory:
        """What the decoder's blocks read across, of a context's `states` [T, width]."""
        read = []
        for block in self.blocks:
            assert isinstance(block, Block)
            read.append(block(states, None, context, 0, None))
        return Memory(context.documents.view(context.rows, context.row_tokens), tuple(read))

    def _relative_bias(self, inputs: Packed) -> Tensor:
        """[1 or R, heads, L, keys] what is added to scores for how far apart two tokens stand."""
        device = inputs.positions.device
        if isinstance(inputs.cache, KeyValueCache):
            here = inputs.positions.view(inputs.rows, inputs.row_tokens, 1)
            there = torch.arange(inputs.cache.capacity, device=device)
        else:  # within a sequence tokens are as far apart as in their row
            there = torch.arange(inputs.row_tokens, device=device)
            here = there[None, :, None]
        scores: Tensor = self.relative(self._bucket(there - here))
        return scores.permute(0, 3, 1, 2)

    def _bucket(self, distance: Tensor) -> Tensor:
        """The bucket of a distance: small ones have their own, larger ones share them by their logarithm."""
        buckets = self.relative.num_embeddings
        start = torch.zeros_like(distance)
        if self.is_decoder:
            far = (-distance).clamp(min=0)
        else:
            buckets //= 2
            start, far = (distance > 0) * buckets, distance.abs()
        own = buckets // 2
        share = torch.log(far.float() / own) / math.log(self.farthest / own)  # -inf at 0, which is not used
        large = (own + share.clamp(min=0) * (buckets - own)).long().clamp(max=buckets - 1)
        return start + torch.where(far < own, far, large)


class Block(nn.Module):
    """Attention, attention across where there is a memory, and a feed-forward layer, each normed before it reads."""

    def __init__(
        self,
        width: int,
        heads: int,
        head_width: int,
        feed_forward: int,
        *,
        gated: bool,
        dropout: float,
        eps: float,
        decoder: bool,
    ) -> None:
        super().__init__()
        across = heads * head_width
        self.heads, self.gated, self.drop = heads, gated, dropout
        self.attention_norm = RootMeanSquareNorm(width, eps)
        self.qkv = nn.Linear(width, 3 * across, bias=False)
        self.attention_out = nn.Linear(across, width, bias=False)
        if decoder:
            self.memory_norm = RootMeanSquareNorm(width, eps)
            self.memory_query = nn.Linear(width, across, bias=False)
            self.memory_key_value = nn.Linear(width, 2 * across, bias=False)
            self.memory_out = nn.Linear(across, width, bias=False)
        self.inner_norm = RootMeanSquareNorm(width, eps)
        self.inner = nn.Linear(width, (1 + gated) * feed_forward, bias=False)
        self.outer = nn.Linear(feed_forward, width, bias=False)

    def forward(
        self,
        hidden: Tensor,
        bias: Tensor | None,
        inputs: Packed,
        number: int,
        across: tuple[Tensor, Tensor, Tensor] | None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """[T, width] -> [T, width]; `bias` says who sees whom and how far apart, `number` is the block's own.

        `across` are the keys, values and bias of what is read across.  Without a bias the states are those of a
        context, and what the block reads of it is returned: here, and not in another method, since a layer that is
        shared between processes is whole in its forward only.
        """
        if bias is None:
            return self._shown(hidden, inputs.row_tokens)
        drop = self.drop if self.training else 0.0
        states = self.qkv(self.attention_norm(hidden)).chunk(3, dim=-1)
        query, key, value = (split_heads(s, self.heads, inputs.row_tokens) for s in states)
        if isinstance(inputs.cache, KeyValueCache):
            key, value = inputs.cache.extend(number, inputs, key, value)
        attended = self.attention_out(merge_heads(attend(query, key, value, bias, drop, scale=1.0)))
        hidden = hidden + F.dropout(attended, drop, bool(drop))
        if across is not None:
            key, value, beyond = across
            query = split_heads(self.memory_query(self.memory_norm(hidden)), self.heads, inputs.row_tokens)
            read = self.memory_out(merge_heads(attend(query, key, value, beyond, drop, scale=1.0)))
            hidden = hidden + F.dropout(read, drop, bool(drop))
        opened = self.inner(self.inner_norm(hidden))
        if self.gated:
            gate, opened = opened.chunk(2, dim=-1)
            opened = gelu(gate, approximate="tanh") * opened
        else:
            opened = F.relu(opened)
        fed = self.outer(F.dropout(opened, drop, bool(drop)))
        return hidden + F.dropout(fed, drop, bool(drop))

    def _shown(self, states: Tensor, row_tokens: int) -> tuple[Tensor, Tensor]:
        """Keys and values [R, heads, row_tokens, D] of a context's `states` [T, width]."""
        key, value = self.memory_key_value(states).chunk(2, dim=-1)
        return split_heads(key, self.heads, row_tokens), split_heads(value, self.heads, row_tokens)
