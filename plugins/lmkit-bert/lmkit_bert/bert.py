"""Encoder "bert": BERT's own architecture (Devlin et al. 2019), parameter for parameter transformers' BertModel.

Query, key and value are one matrix, so that a layer multiplies the hidden states once instead of three times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import attrs
import torch
import torch.nn.functional as F
from attrs import validators
from torch import Tensor, nn

from lmkit.batch import Attention, Packed
from lmkit.interfaces import Encoder, HeadStyle, Renamed, Vocabulary
from lmkit.parts.attention import attend, attention_bias, compute_dtype, merge_heads, split_heads
from lmkit.parts.counterpart import Counterpart, require_attention
from lmkit.parts.layers import ACTIVATIONS, draw_sinusoids, draw_weights
from lmkit.parts.shape import Shape


@attrs.frozen(kw_only=True)
class BertConfig(Shape):
    """The shape of a BERT, whose inner layer is by default four times the width."""

    positions: int = attrs.field(default=512, validator=[validators.ge(1), validators.le(1 << 22)])
    """Longest sequence that it can read, in tokens."""
    activation: Literal["gelu", "gelu_tanh", "relu", "relu2", "silu"] = "gelu"
    """Of the inner layer."""
    eps: float = attrs.field(default=1e-12, validator=validators.gt(0))
    """Of the layer norms."""

    def __attrs_post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.num_heads}")

    @property
    def inner(self) -> int:
        return self.feed_forward or 4 * self.width


_COUNTERPART = Counterpart(
    model_type="bert",
    fields={
        "layers": "num_hidden_layers",
        "width": "hidden_size",
        "heads": "num_attention_heads",
        "feed_forward": "intermediate_size",
        "dropout": "hidden_dropout_prob",
        "positions": "max_position_embeddings",
        "activation": "hidden_act",
        "eps": "layer_norm_eps",
    },
    only={"type_vocab_size": 2, "add_cross_attention": False, "tie_word_embeddings": True},
)
_PREDICTIONS = {
    "bias": "cls.predictions.bias",
    "dense": "cls.predictions.transform.dense",
    "norm": "cls.predictions.transform.LayerNorm",
}
_HEADS: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(("token", "next-token", "masked-next-token"), _PREDICTIONS),
    **{kind: {"dense": "classifier"} for kind in ("classify", "regress", "choice", "tag")},
    "span": {"dense": "qa_outputs"},
}


class Bert(Encoder):
    """BERT's encoder with its pooler."""

    name = "bert"
    Config = BertConfig
    attention: ClassVar[frozenset[Attention]] = frozenset({"bidirectional", "causal", "mixed"})
    transformers_type = "bert"

    def __init__(self, config: BertConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.config = config
        self.width = config.width
        self.token_embedding = nn.Embedding(vocabulary.size, config.width)
        self.position_embedding = nn.Embedding(config.positions, config.width)
        self.segment_embedding = nn.Embedding(2, config.width)
        self.norm = nn.LayerNorm(config.width, eps=config.eps)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.pooling = nn.Linear(config.width, config.width)
        draw_weights(self, 0.02)
        # Masks are filled from neighbours, and the tokens say nothing of those: with small random positions, as BERT
        # drew them, a small model stays at the words' frequencies for millions of tokens.
        draw_sinusoids(self.position_embedding, 0.08)

    def forward(self, inputs: Packed) -> Tensor:
        segments = torch.zeros_like(inputs.tokens) if inputs.segments is None else inputs.segments
        hidden = self.token_embedding(inputs.tokens) + self.position_embedding(inputs.positions)
        hidden = self.dropout(self.norm(hidden + self.segment_embedding(segments)))
        bias = attention_bias(inputs, compute_dtype(hidden))
        for block in self.blocks:
            hidden = block(hidden, bias, inputs.row_tokens)
        result: Tensor = hidden
        return result

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
        return HeadStyle(transform=True, activation=self.config.activation, eps=self.config.eps, bias=True)

    @property
    def pooler(self) -> nn.Module:
        return self.pooling

    def pool(self, hidden: Tensor, inputs: Packed) -> Tensor:
        """[S, width]: the first state through a dense layer and tanh, as BERT's next-sentence head reads it."""
        return torch.tanh(self.pooling(hidden[inputs.first]))

    def roles(self) -> Mapping[str, str]:
        stacked = {f"blocks.{i}.qkv.weight": "hidden/3" for i in range(self.config.layers)}
        return {**super().roles(), **stacked}

    def smaller(self, factor: float) -> BertConfig:
        return self.config.narrower(factor)

    def transformers_config(self, attention: Attention) -> Mapping[str, Any]:
        """Raises FitError for mixed attention, which BertModel has not."""
        require_attention(self, attention, "causal" if attention == "causal" else "bidirectional")
        drop = {"attention_probs_dropout_prob": self.config.dropout}
        return _COUNTERPART.written(self.config) | drop | {"is_decoder": attention == "causal"}

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> BertConfig:
        return BertConfig(**_COUNTERPART.read(config))

    def transformers_names(self) -> Mapping[str, Renamed]:
        names: dict[str, Renamed] = {
            "token_embedding.weight": Renamed(("embeddings.word_embeddings.weight",)),
            "position_embedding.weight": Renamed(("embeddings.position_embeddings.weight",)),
            "segment_embedding.weight": Renamed(("embeddings.token_type_embeddings.weight",)),
        }
        modules: dict[str, tuple[str, ...]] = {"norm": ("embeddings.LayerNorm",), "pooling": ("pooler.dense",)}
        for i in range(self.config.layers):
            theirs = f"encoder.layer.{i}"
            modules |= {
                f"blocks.{i}.qkv": tuple(f"{theirs}.attention.self.{part}" for part in ("query", "key", "value")),
                f"blocks.{i}.attention_out": (f"{theirs}.attention.output.dense",),
                f"blocks.{i}.attention_norm": (f"{theirs}.attention.output.LayerNorm",),
                f"blocks.{i}.inner": (f"{theirs}.intermediate.dense",),
                f"blocks.{i}.outer": (f"{theirs}.output.dense",),
                f"blocks.{i}.outer_norm": (f"{theirs}.output.LayerNorm",),
            }
        for ours, parts in modules.items():
            for kind in ("weight", "bias"):
                names[f"{ours}.{kind}"] = Renamed(tuple(f"{part}.{kind}" for part in parts))
        return names


class Block(nn.Module):
    """Attention and a feed-forward layer, each normed after its residual."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width, inner = config.width, config.inner
        self.heads = config.num_heads
        self.drop = config.dropout
        self.activation = ACTIVATIONS[config.activation]
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, eps=config.eps)
        self.inner = nn.Linear(width, inner)
        self.outer = nn.Linear(inner, width)
        self.outer_norm = nn.LayerNorm(width, eps=config.eps)

    def forward(self, hidden: Tensor, bias: Tensor, row_tokens: int) -> Tensor:
        """[T, width] -> [T, width]; `bias` [R, 1, L, L] says who sees whom."""
        drop = self.drop if self.training else 0.0
        query, key, value = (split_heads(s, self.heads, row_tokens) for s in self.qkv(hidden).chunk(3, dim=-1))
        attended = self.attention_out(merge_heads(attend(query, key, value, bias, drop)))
        hidden = self.attention_norm(hidden + F.dropout(attended, drop, bool(drop)))
        fed = self.outer(self.activation(self.inner(hidden)))
        normed: Tensor = self.outer_norm(hidden + F.dropout(fed, drop, bool(drop)))
        return normed
