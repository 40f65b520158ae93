"""Encoder "modernbert" (Warner et al. 2024, section 2.1), parameter for parameter transformers' ModernBertModel.

Rotary positions, gated feed-forward layers, norms before layers, no biases; two of three layers look at their
neighbours only, so that long texts cost less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs
import torch.nn.functional as F
from attrs import validators
from torch import Tensor, nn

from lmkit.batch import Attention, Packed
from lmkit.errors import FitError
from lmkit.interfaces import Encoder, HeadStyle, Renamed, Vocabulary
from lmkit.parts.attention import attend, attention_bias, compute_dtype, merge_heads, split_heads
from lmkit.parts.counterpart import Counterpart, require_attention, rotary_base
from lmkit.parts.gelu import gelu
from lmkit.parts.layers import draw_residuals, draw_weights
from lmkit.parts.rotary import Rotation, rotated, rotation
from lmkit.parts.shape import Shape


@attrs.frozen(kw_only=True)
class ModernBertConfig(Shape):
    """The shape of a ModernBERT, whose inner layer is by default one and a half times the width, and gated."""

    positions: int = attrs.field(default=8192, validator=[validators.ge(1), validators.le(1 << 22)])
    """Longest sequence that it may read, in tokens; no weights depend on it."""
    global_every: int = attrs.field(default=3, validator=validators.ge(1))
    """Every so many layers, the first among them, one sees all of a sequence."""
    window: int = attrs.field(default=128, validator=validators.ge(2))
    """Tokens that the other layers see: half of them on either side."""
    global_theta: float = attrs.field(default=160_000.0, validator=validators.gt(1))
    """Base of the rotary angles of layers that see all."""
    local_theta: float = attrs.field(default=10_000.0, validator=validators.gt(1))
    """Base of the rotary angles of the others."""
    eps: float = attrs.field(default=1e-5, validator=validators.gt(0))
    """Of the layer norms."""

    def __attrs_post_init__(self) -> None:
        if self.width % self.num_heads or self.width // self.num_heads % 2:
            raise ValueError(f"width {self.width} is not an even multiple of heads {self.num_heads}")

    @property
    def inner(self) -> int:
        return self.feed_forward or self.width * 3 // 2

    def is_global(self, layer: int) -> bool:
        return layer % self.global_every == 0


_COUNTERPART = Counterpart(
    model_type="modernbert",
    fields={
        "layers": "num_hidden_layers",
        "width": "hidden_size",
        "heads": "num_attention_heads",
        "feed_forward": "intermediate_size",
        "dropout": "mlp_dropout",
        "positions": "max_position_embeddings",
        "window": "local_attention",
        "eps": "norm_eps",
    },
    only={
        "hidden_activation": "gelu",
        "classifier_activation": "gelu",
        "norm_bias": False,
        "attention_bias": False,
        "mlp_bias": False,
        "classifier_bias": False,
        "decoder_bias": True,
        "tie_word_embeddings": True,
    },
)
_CLASSIFIER = {"before.dense": "head.dense", "before.norm": "head.norm", "dense": "classifier"}
_HEADS: Mapping[str, Mapping[str, str]] = {
    "token": {"dense": "head.dense", "norm": "head.norm", "bias": "decoder.bias"},
    **dict.fromkeys(("classify", "regress", "choice", "tag", "span"), _CLASSIFIER),
}


class ModernBert(Encoder):
    """ModernBERT's encoder."""

    name = "modernbert"
    Config = ModernBertConfig
    attention: ClassVar[frozenset[Attention]] = frozenset({"bidirectional", "causal", "mixed"})
    transformers_type = "modernbert"

    def __init__(self, config: ModernBertConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.config = config
        self.width = config.width
        self.token_embedding = nn.Embedding(vocabulary.size, config.width)
        self.embedding_norm = nn.LayerNorm(config.width, eps=config.eps, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, first=i == 0) for i in range(config.layers))
        self.norm = nn.LayerNorm(config.width, eps=config.eps, bias=False)
        draw_weights(self, 0.02)
        draw_residuals(self, config.layers, 0.02)

    def forward(self, inputs: Packed) -> Tensor:
        hidden = self.dropout(self.embedding_norm(self.token_embedding(inputs.tokens)))
        dtype, size = compute_dtype(hidden), self.width // self.config.num_heads
        kinds = []  # of layers that see all, and of the others: who sees whom, and how positions turn
        for window, theta in ((None, self.config.global_theta), (self.config.window // 2, self.config.local_theta)):
            turn = rotation(inputs.positions, inputs.row_tokens, size, theta)
            kinds.append((attention_bias(inputs, dtype, window), turn))
        for number, block in enumerate(self.blocks):
            bias, turn = kinds[0 if self.config.is_global(number) else 1]
            hidden = block(hidden, bias, turn, inputs.row_tokens)
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
        eps = self.config.eps
        return HeadStyle(transform=True, transform_bias=False, transform_always=True, eps=eps, bias=True)

    def roles(self) -> Mapping[str, str]:
        stacked = {f"blocks.{i}.qkv.weight": "hidden/3" for i in range(self.config.layers)}
        gated = {f"blocks.{i}.inner.weight": "hidden/2" for i in range(self.config.layers)}
        return {**super().roles(), **stacked, **gated}

    def smaller(self, factor: float) -> ModernBertConfig:
        return self.config.narrower(factor)

    def transformers_config(self, attention: Attention) -> Mapping[str, Any]:
        """Raises FitError for attention that is not bidirectional, which ModernBertModel has not."""
        require_attention(self, attention, "bidirectional")
        config = self.config
        thetas = {"full_attention": config.global_theta, "sliding_attention": config.local_theta}
        return _COUNTERPART.written(config) | {
            "attention_dropout": config.dropout,
            "embedding_dropout": config.dropout,
            "rope_parameters": {kind: {"rope_type": "default", "rope_theta": t} for kind, t in thetas.items()},
            "layer_types": [_layer_type(i, config.global_every) for i in range(config.layers)],
        }

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> ModernBertConfig:
        kinds, turns = list(config["layer_types"]), config["rope_parameters"]
        apart = [i for i, kind in enumerate(kinds) if i and kind == "full_attention"]
        every = apart[0] if apart else max(1, len(kinds))
        if kinds != [_layer_type(i, every) for i in range(len(kinds))]:
            raise FitError("config.json: layer_types; lmkit's modernbert has one layer in so many that sees all")
        fields = _COUNTERPART.read(config) | {"global_every": every}
        for ours, theirs in (("global_theta", "full_attention"), ("local_theta", "sliding_attention")):
            fields[ours] = rotary_base(turns[theirs])
        return ModernBertConfig(**fields)

    def transformers_names(self) -> Mapping[str, Renamed]:
        names = {
            "token_embedding.weight": "embeddings.tok_embeddings.weight",
            "embedding_norm.weight": "embeddings.norm.weight",
            "norm.weight": "final_norm.weight",
        }
        parts = {
            "attention_norm": "attn_norm",
            "qkv": "attn.Wqkv",
            "attention_out": "attn.Wo",
            "inner_norm": "mlp_norm",
            "inner": "mlp.Wi",
            "outer": "mlp.Wo",
        }
        for i in range(self.config.layers):
            for ours, theirs in parts.items():
                if i or ours != "attention_norm":
                    names[f"blocks.{i}.{ours}.weight"] = f"layers.{i}.{theirs}.weight"
        return {ours: Renamed((theirs,)) for ours, theirs in names.items()}


def _layer_type(layer: int, every: int) -> str:
    return "sliding_attention" if layer % every else "full_attention"


class Block(nn.Module):
    """Attention and a gated feed-forward layer, each normed before it reads the residual stream."""

    def __init__(self, config: ModernBertConfig, *, first: bool) -> None:
        super().__init__()
        width = config.width
        self.heads = config.num_heads
        self.drop = config.dropout
        # What the first block reads is normed already.
        self.attention_norm = nn.Identity() if first else nn.LayerNorm(width, eps=config.eps, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.inner_norm = nn.LayerNorm(width, eps=config.eps, bias=False)
        self.inner = nn.Linear(width, 2 * config.inner, bias=False)
        self.outer = nn.Linear(config.inner, width, bias=False)

    def forward(self, hidden: Tensor, bias: Tensor, turn: Rotation, row_tokens: int) -> Tensor:
        """[T, width] -> [T, width]; `bias` [R, 1, L, L] says who sees whom, `turn` how positions do."""
        drop = self.drop if self.training else 0.0
        states = self.qkv(self.attention_norm(hidden)).chunk(3, dim=-1)
        query, key, value = (split_heads(s, self.heads, row_tokens) for s in states)
        attended = merge_heads(attend(rotated(query, turn), rotated(key, turn), value, bias, drop))
        hidden = hidden + F.dropout(self.attention_out(attended), drop, bool(drop))
        opened, gate = self.inner(self.inner_norm(hidden)).chunk(2, dim=-1)  # GeGLU (Shazeer 2020, section 2)
        fed = self.outer(F.dropout(gelu(opened) * gate, drop, bool(drop)))
        summed: Tensor = hidden + fed
        return summed
