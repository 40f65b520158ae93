"""Encoder "gpt2": GPT-2's own architecture (Radford et al. 2019), parameter for parameter transformers' GPT2Model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import attrs
import torch.nn.functional as F
from attrs import validators
from torch import Tensor, nn

from lmkit.batch import Attention, Packed
from lmkit.interfaces import Encoder, HeadStyle, Renamed, Vocabulary
from lmkit.parts.attention import KeyValueCache, attend, attention_bias, compute_dtype, merge_heads, split_heads
from lmkit.parts.counterpart import Counterpart, require_attention
from lmkit.parts.layers import ACTIVATIONS, draw_residuals, draw_weights
from lmkit.parts.shape import Shape


@attrs.frozen(kw_only=True)
class Gpt2Config(Shape):
    """The shape of a GPT-2, whose inner layer is by default four times the width."""

    positions: int = attrs.field(default=1024, validator=[validators.ge(1), validators.le(1 << 22)])
    """Longest sequence that it can read, in tokens."""
    activation: Literal["gelu", "gelu_tanh", "relu", "relu2", "silu"] = "gelu_tanh"
    """Of the inner layer."""
    eps: float = attrs.field(default=1e-5, validator=validators.gt(0))
    """Of the layer norms."""

    def __attrs_post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.num_heads}")

    @property
    def inner(self) -> int:
        return self.feed_forward or 4 * self.width


_COUNTERPART = Counterpart(
    model_type="gpt2",
    fields={
        "layers": "n_layer",
        "width": "n_embd",
        "heads": "n_head",
        "feed_forward": "n_inner",
        "dropout": "resid_pdrop",
        "positions": "n_positions",
        "activation": "activation_function",
        "eps": "layer_norm_epsilon",
    },
    only={
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
        "tie_word_embeddings": True,
    },
)
_HEADS: Mapping[str, Mapping[str, str]] = {
    **{kind: {} for kind in ("next-token", "masked-next-token")},
    **{kind: {"dense": "score"} for kind in ("classify", "regress")},
    "tag": {"dense": "classifier"},
    "span": {"dense": "qa_outputs"},
}


class Gpt2(Encoder):
    """GPT-2's decoder stack, with a cache for generation."""

    name = "gpt2"
    Config = Gpt2Config
    attention: ClassVar[frozenset[Attention]] = frozenset({"causal", "bidirectional", "mixed"})
    transformers_type = "gpt2"

    def __init__(self, config: Gpt2Config, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.config = config
        self.width = config.width
        self.token_embedding = nn.Embedding(vocabulary.size, config.width)
        self.position_embedding = nn.Embedding(config.positions, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, eps=config.eps)
        draw_weights(self, 0.02)
        draw_residuals(self, config.layers, 0.02)

    def forward(self, inputs: Packed) -> Tensor:
        hidden = self.token_embedding(inputs.tokens) + self.position_embedding(inputs.positions)
        hidden = self.dropout(hidden)
        bias = attention_bias(inputs, compute_dtype(hidden))
        for number, block in enumerate(self.blocks):
            hidden = block(hidden, bias, inputs, number)
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
        return HeadStyle(class_bias=False)

    def roles(self) -> Mapping[str, str]:
        stacked = {f"blocks.{i}.qkv.weight": "hidden/3" for i in range(self.config.layers)}
        return {**super().roles(), **stacked}

    def new_cache(self, sequences: int, capacity: int) -> KeyValueCache:
        heads = self.config.num_heads
        return KeyValueCache(self.config.layers, sequences, heads, capacity, self.width // heads)

    def smaller(self, factor: float) -> Gpt2Config:
        return self.config.narrower(factor)

    def transformers_config(self, attention: Attention) -> Mapping[str, Any]:
        """Raises FitError for attention that is not causal, which GPT2Model has not."""
        require_attention(self, attention, "causal")
        drop = dict.fromkeys(("embd_pdrop", "attn_pdrop"), self.config.dropout)
        return _COUNTERPART.written(self.config) | drop

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> Gpt2Config:
        return Gpt2Config(**_COUNTERPART.read(config))

    def transformers_names(self) -> Mapping[str, Renamed]:
        names: dict[str, Renamed] = {
            "token_embedding.weight": Renamed(("wte.weight",)),
            "position_embedding.weight": Renamed(("wpe.weight",)),
            "norm.weight": Renamed(("ln_f.weight",)),
            "norm.bias": Renamed(("ln_f.bias",)),
        }
        products = {"qkv": "attn.c_attn", "attention_out": "attn.c_proj", "inner": "mlp.c_fc", "outer": "mlp.c_proj"}
        for i in range(self.config.layers):
            for ours, theirs in products.items():
                names[f"blocks.{i}.{ours}.weight"] = Renamed((f"h.{i}.{theirs}.weight",), transposed=True)
                names[f"blocks.{i}.{ours}.bias"] = Renamed((f"h.{i}.{theirs}.bias",))
            for ours, theirs in {"attention_norm": "ln_1", "inner_norm": "ln_2"}.items():
                for kind in ("weight", "bias"):
                    names[f"blocks.{i}.{ours}.{kind}"] = Renamed((f"h.{i}.{theirs}.{kind}",))
        return names


class Block(nn.Module):
    """Attention and a feed-forward layer, each normed before it reads the residual stream."""

    def __init__(self, config: Gpt2Config) -> None:
        super().__init__()
        width, inner = config.width, config.inner
        self.heads = config.num_heads
        self.drop = config.dropout
        self.activation = ACTIVATIONS[config.activation]
        self.attention_norm = nn.LayerNorm(width, eps=config.eps)
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.inner_norm = nn.LayerNorm(width, eps=config.eps)
        self.inner = nn.Linear(width, inner)
        self.outer = nn.Linear(inner, width)

    def forward(self, hidden: Tensor, bias: Tensor, inputs: Packed, number: int) -> Tensor:
        """[T, width] -> [T, width]; `bias` says who sees whom, `number` is the block's own in the cache."""
        drop = self.drop if self.training else 0.0
        states = self.qkv(self.attention_norm(hidden)).chunk(3, dim=-1)
        query, key, value = (split_heads(s, self.heads, inputs.row_tokens) for s in states)
        if isinstance(inputs.cache, KeyValueCache):
            key, value = inputs.cache.extend(number, inputs, key, value)
        attended = self.attention_out(merge_heads(attend(query, key, value, bias, drop)))
        hidden = hidden + F.dropout(attended, drop, bool(drop))
        fed = self.outer(self.activation(self.inner(self.inner_norm(hidden))))
        return hidden + F.dropout(fed, drop, bool(drop))
