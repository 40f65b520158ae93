"""Encoder "qwen3" (Qwen Team 2025, section 2), parameter for parameter transformers' Qwen3Model.

RMS norms, rotary positions, gated feed-forward layers, queries that share keys and values, norms of queries and keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs
import torch.nn.functional as F
from attrs import validators
from torch import Tensor, nn

from lmkit.batch import Attention, Packed
from lmkit.interfaces import Encoder, HeadStyle, Renamed, Vocabulary
from lmkit.parts.attention import KeyValueCache, attend, attention_bias, compute_dtype, merge_heads
from lmkit.parts.counterpart import Counterpart, require_attention, rotary_base
from lmkit.parts.layers import RootMeanSquareNorm, draw_residuals, draw_weights
from lmkit.parts.rotary import Rotation, rotated, rotation
from lmkit.parts.shape import Shape


@attrs.frozen(kw_only=True)
class Qwen3Config(Shape):
    """The shape of a Qwen3, whose inner layer is by default three times the width, and gated."""

    key_heads: int | None = attrs.field(default=None, validator=validators.optional(validators.ge(1)))
    """Heads of keys and values, each shared by as many queries; by default half of the heads."""
    head_width: int = attrs.field(default=64, validator=[validators.ge(2), validators.le(1 << 12)])
    """Size of a head."""
    positions: int = attrs.field(default=4096, validator=[validators.ge(1), validators.le(1 << 22)])
    """Longest sequence that it may read, in tokens; no weights depend on it."""
    theta: float = attrs.field(default=10_000.0, validator=validators.gt(1))
    """Base of the rotary angles."""
    eps: float = attrs.field(default=1e-6, validator=validators.gt(0))
    """Of the norms."""
    tied: bool = True
    """Whether scores of the vocabulary are by the token embedding (as in the small Qwen3s); else by another matrix."""

    def __attrs_post_init__(self) -> None:
        if self.num_heads % self.num_key_heads:
            raise ValueError(f"heads {self.num_heads} is not a multiple of key_heads {self.num_key_heads}")
        if self.head_width % 2:
            raise ValueError(f"head_width {self.head_width} is odd; rotary positions turn pairs")

    @property
    def num_key_heads(self) -> int:
        if self.key_heads:
            return self.key_heads
        return self.num_heads // 2 if self.num_heads % 2 == 0 else self.num_heads

    @property
    def inner(self) -> int:
        return self.feed_forward or 3 * self.width


_COUNTERPART = Counterpart(
    model_type="qwen3",
    fields={
        "layers": "num_hidden_layers",
        "width": "hidden_size",
        "heads": "num_attention_heads",
        "key_heads": "num_key_value_heads",
        "head_width": "head_dim",
        "feed_forward": "intermediate_size",
        "dropout": "attention_dropout",
        "positions": "max_position_embeddings",
        "eps": "rms_norm_eps",
        "tied": "tie_word_embeddings",
    },
    only={"hidden_act": "silu", "attention_bias": False, "use_sliding_window": False},
)
_HEADS: Mapping[str, Mapping[str, str]] = {
    **{kind: {} for kind in ("next-token", "masked-next-token")},
    **{kind: {"dense": "score"} for kind in ("classify", "regress", "tag")},
    "span": {"dense": "qa_outputs"},
}


class Qwen3(Encoder):
    """Qwen3's decoder stack, with a cache for generation."""

    name = "qwen3"
    Config = Qwen3Config
    attention: ClassVar[frozenset[Attention]] = frozenset({"causal", "bidirectional", "mixed"})
    transformers_type = "qwen3"

    def __init__(self, config: Qwen3Config, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.config = config
        self.width = config.width
        self.token_embedding = nn.Embedding(vocabulary.size, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RootMeanSquareNorm(config.width, eps=config.eps)
        draw_weights(self, 0.02)
        draw_residuals(self, config.layers, 0.02)

    def forward(self, inputs: Packed) -> Tensor:
        hidden: Tensor = self.token_embedding(inputs.tokens)
        bias = attention_bias(inputs, compute_dtype(hidden))
        turn = rotation(inputs.positions, inputs.row_tokens, self.config.head_width, self.config.theta)
        for number, block in enumerate(self.blocks):
            hidden = block(hidden, bias, turn, inputs, number)
        normed: Tensor = self.norm(hidden)
        return normed

    @property
    def longest(self) -> int:
        return self.config.positions

    @property
    def layers(self) -> Sequence[nn.Module]:
        return tuple(self.blocks)

    @property
    def transformers_heads(self) -> Mapping[str, Mapping[str, str]]:
        return _HEADS

    @property
    def head_style(self) -> HeadStyle:
        return HeadStyle(class_bias=False, tied=self.config.tied)

    def roles(self) -> Mapping[str, str]:
        pieces = self.config.num_heads // self.config.num_key_heads + 2  # of one matrix, each as large as the keys'
        stacked = {f"blocks.{i}.qkv.weight": f"hidden/{pieces}" for i in range(self.config.layers)}
        gated = {f"blocks.{i}.inner.weight": "hidden/2" for i in range(self.config.layers)}
        return {**super().roles(), **stacked, **gated}

    def new_cache(self, sequences: int, capacity: int) -> KeyValueCache:
        config = self.config
        return KeyValueCache(config.layers, sequences, config.num_key_heads, capacity, config.head_width)

    def smaller(self, factor: float) -> Qwen3Config:
        config = self.config
        keys = max(1, round(config.num_key_heads * factor))
        heads = keys * (config.num_heads // config.num_key_heads)
        width = max(1, round(config.width * heads / config.num_heads))
        return attrs.evolve(config, width=width, heads=heads, key_heads=keys, feed_forward=None)

    def transformers_config(self, attention: Attention) -> Mapping[str, Any]:
        """Raises FitError for attention that is not causal, which Qwen3Model has not."""
        require_attention(self, attention, "causal")
        turn = {"rope_type": "default", "rope_theta": self.config.theta}
        return _COUNTERPART.written(self.config) | {"rope_parameters": turn}

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> Qwen3Config:
        return Qwen3Config(**_COUNTERPART.read(config), theta=rotary_base(config["rope_parameters"]))

    def transformers_names(self) -> Mapping[str, Renamed]:
        names: dict[str, tuple[str, ...]] = {
            "token_embedding.weight": ("embed_tokens.weight",),
            "norm.weight": ("norm.weight",),
        }
        parts = {
            "attention_norm": ("input_layernorm",),
            "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
            "query_norm": ("self_attn.q_norm",),
            "key_norm": ("self_attn.k_norm",),
            "attention_out": ("self_attn.o_proj",),
            "inner_norm": ("post_attention_layernorm",),
            "inner": ("mlp.gate_proj", "mlp.up_proj"),
            "outer": ("mlp.down_proj",),
        }
        for i in range(self.config.layers):
            for ours, theirs in parts.items():
                names[f"blocks.{i}.{ours}.weight"] = tuple(f"layers.{i}.{part}.weight" for part in theirs)
        keys = self.config.num_key_heads * self.config.head_width
        sizes = (self.config.num_heads * self.config.head_width, keys, keys)
        return {
            ours: Renamed(theirs, sizes=sizes if ours.endswith("qkv.weight") else ()) for ours, theirs in names.items()
        }


class Block(nn.Module):
    """Attention and a gated feed-forward layer, each normed before it reads the residual stream."""

    def __init__(self, config: Qwen3Config) -> None:
        super().__init__()
        width, size = config.width, config.head_width
        self.heads, self.key_heads, self.head_width = config.num_heads, config.num_key_heads, size
        self.drop = config.dropout
        self.attention_norm = RootMeanSquareNorm(width, eps=config.eps)
        self.qkv = nn.Linear(width, (self.heads + 2 * self.key_heads) * size, bias=False)
        self.query_norm = RootMeanSquareNorm(size, eps=config.eps)
        self.key_norm = RootMeanSquareNorm(size, eps=config.eps)
        self.attention_out = nn.Linear(self.heads * size, width, bias=False)
        self.inner_norm = RootMeanSquareNorm(width, eps=config.eps)
        self.inner = nn.Linear(width, 2 * config.inner, bias=False)
        self.outer = nn.Linear(config.inner, width, bias=False)

    def forward(self, hidden: Tensor, bias: Tensor, turn: Rotation, inputs: Packed, number: int) -> Tensor:
        """[T, width] -> [T, width]; `bias` says who sees whom, `number` is the block's own in the cache."""
        states = self.qkv(self.attention_norm(hidden)).view(inputs.rows, inputs.row_tokens, -1, self.head_width)
        query, key, value = states.transpose(1, 2).split([self.heads, self.key_heads, self.key_heads], dim=1)
        query, key = rotated(self.query_norm(query), turn), rotated(self.key_norm(key), turn)
        if isinstance(inputs.cache, KeyValueCache):
            key, value = inputs.cache.extend(number, inputs, key, value)
        each = self.heads // self.key_heads
        key, value = key.repeat_interleave(each, dim=1), value.repeat_interleave(each, dim=1)
        attended = attend(query, key, value, bias, self.drop if self.training else 0.0)
        hidden = hidden + self.attention_out(merge_heads(attended))
        gate, opened = self.inner(self.inner_norm(hidden)).chunk(2, dim=-1)  # SwiGLU (Shazeer 2020, section 2)
        summed: Tensor = hidden + self.outer(F.silu(gate) * opened)
        return summed
