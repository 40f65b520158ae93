"""Encoder "t5": an encoder and a decoder (Raffel et al. 2020, section 2.1), weight for weight transformers' T5Model.

With a context it is the decoder that reads `inputs`, and reads across what the encoder made of the context.  Without
one it is the encoder where attention is bidirectional, and else the decoder alone: every objective trains a part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs
from attrs import validators
from torch import Tensor, nn

from lmkit.batch import Attention, Packed
from lmkit.errors import FitError
from lmkit.interfaces import Encoder, HeadStyle, Renamed, Vocabulary
from lmkit.parts.counterpart import Counterpart, require_attention
from lmkit.parts.layers import draw_weights
from lmkit.parts.shape import Shape
from lmkit_seq2seq.memory import Memory, MemoryCache
from lmkit_seq2seq.stack import Stack


@attrs.frozen(kw_only=True)
class T5Config(Shape):
    """The shape of a T5, whose encoder and decoder have as many layers each.

    The inner layer is by default four times the width, or 5/2 of it where it is gated.
    """

    head_width: int = attrs.field(default=64, validator=[validators.ge(1), validators.le(1 << 12)])
    """Size of a head."""
    gated: bool = True
    """Whether the inner layer is gated by GELU, as in T5 1.1; else it is a ReLU, as in the paper."""
    scaled: bool = False
    """Whether states are multiplied by width^-0.5 before scores of the vocabulary, as in the paper, not in T5 1.1."""
    buckets: int = attrs.field(default=32, validator=validators.and_(validators.ge(4), validators.le(1 << 12)))
    """Relative positions that attention tells apart."""
    farthest: int = attrs.field(default=128, validator=validators.ge(4))
    """Distance from which on it tells none apart."""
    positions: int = attrs.field(default=4096, validator=[validators.ge(1), validators.le(1 << 22)])
    """Longest sequence that it may read, in tokens; no weights depend on it."""
    eps: float = attrs.field(default=1e-6, validator=validators.gt(0))
    """Of the norms."""
    tied: bool = True
    """Whether scores of the vocabulary are by the token embedding, as in the paper; in T5 1.1 by another matrix."""

    def __attrs_post_init__(self) -> None:
        if self.farthest <= self.buckets // 2:
            raise ValueError(f"farthest {self.farthest} is not beyond the {self.buckets // 2} distances told apart")

    @property
    def inner(self) -> int:
        return self.feed_forward or (self.width * 5 // 2 if self.gated else 4 * self.width)


_COUNTERPART = Counterpart(
    model_type="t5",
    fields={
        "layers": "num_layers",
        "width": "d_model",
        "heads": "num_heads",
        "head_width": "d_kv",
        "feed_forward": "d_ff",
        "dropout": "dropout_rate",
        "scaled": "scale_decoder_outputs",
        "buckets": "relative_attention_num_buckets",
        "farthest": "relative_attention_max_distance",
        "eps": "layer_norm_epsilon",
        "tied": "tie_word_embeddings",
    },
)
_HEADS: Mapping[str, Mapping[str, str]] = {"seq2seq": {}, "tag": {"dense": "classifier"}}


class T5(Encoder):
    """T5's encoder and decoder, which share the token embedding."""

    name = "t5"
    Config = T5Config
    attention: ClassVar[frozenset[Attention]] = frozenset({"causal", "bidirectional", "mixed"})
    takes_context = True
    transformers_type = "t5"

    def __init__(self, config: T5Config, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.config = config
        self.width = config.width
        self.token_embedding = nn.Embedding(vocabulary.size, config.width)
        shape = attrs.asdict(config) | {"heads": config.num_heads, "feed_forward": config.inner}
        del shape["positions"], shape["scaled"], shape["tied"]
        self.encoder = Stack(**shape, decoder=False)
        self.decoder = Stack(**shape, decoder=True)
        draw_weights(self, 0.02)
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):  # scores are not scaled by the heads' size, so weights are by the width
                residual = (2 * config.layers) ** -0.5 if name.endswith(("_out", "outer")) else 1.0
                nn.init.normal_(module.weight, std=0.5 * module.in_features**-0.5 * residual)

    def forward(self, inputs: Packed) -> Tensor:
        cache = inputs.cache if isinstance(inputs.cache, MemoryCache) else None
        alone = inputs.context is None and cache is None
        stack = self.encoder if alone and inputs.attention == "bidirectional" else self.decoder
        memory: Memory | None = None
        if inputs.context is not None and (cache is None or cache.memory is None):
            context = inputs.context
            memory = self.decoder.memory(context, self.encoder(self.token_embedding(context.tokens), context, None))
            if cache is not None:
                cache.memory = memory
        elif cache is not None:
            memory = cache.memory
        hidden: Tensor = stack(self.token_embedding(inputs.tokens), inputs, memory)
        return hidden

    @property
    def longest(self) -> int:
        return self.config.positions

    @property
    def layers(self) -> Sequence[nn.Module]:
        return (*self.encoder.blocks, *self.decoder.blocks)

    @property
    def transformers_heads(self) -> Mapping[str, Mapping[str, str]]:
        return _HEADS

    @property
    def head_style(self) -> HeadStyle:
        return HeadStyle(scale=self.width**-0.5 if self.config.scaled else 1.0, tied=self.config.tied)

    def roles(self) -> Mapping[str, str]:
        stacked = {"qkv.weight": "hidden/3", "memory_key_value.weight": "hidden/2"}
        if self.config.gated:
            stacked["inner.weight"] = "hidden/2"
        found = dict(super().roles())
        for name in found:
            for end, role in stacked.items():
                if name.endswith(f".{end}"):
                    found[name] = role
        return found

    def new_cache(self, sequences: int, capacity: int) -> MemoryCache:
        config = self.config
        return MemoryCache(config.layers, sequences, config.num_heads, capacity, config.head_width)

    def smaller(self, factor: float) -> T5Config:
        return self.config.narrower(factor)

    def transformers_config(self, attention: Attention) -> Mapping[str, Any]:
        """Of the decoder with the encoder (causal), or of the encoder alone."""
        require_attention(self, attention, "causal" if attention == "causal" else "bidirectional")
        return _COUNTERPART.written(self.config) | {
            "num_decoder_layers": self.config.layers,
            "feed_forward_proj": "gated-gelu" if self.config.gated else "relu",
            "tie_word_embeddings": self.config.scaled,  # which is how T5's config says whether it scales
        }

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> T5Config:
        fields = _COUNTERPART.read(config)
        if config["num_decoder_layers"] != config["num_layers"]:
            raise FitError("config.json: num_decoder_layers; lmkit's t5 has as many layers in both halves")
        if config["feed_forward_proj"] not in ("gated-gelu", "relu"):
            raise FitError(f"config.json: feed_forward_proj is {config['feed_forward_proj']!r}, not gated-gelu or relu")
        return T5Config(**fields, gated=config["feed_forward_proj"] == "gated-gelu")

    def transformers_names(self) -> Mapping[str, Renamed]:
        names = {"token_embedding.weight": Renamed(("shared.weight",))}
        for stack, decoder in (("encoder", False), ("decoder", True)):
            names[f"{stack}.norm.weight"] = Renamed((f"{stack}.final_layer_norm.weight",))
            relative = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
            names[f"{stack}.relative.weight"] = Renamed((relative,))
            for i in range(self.config.layers):
                ours, theirs = f"{stack}.blocks.{i}", f"{stack}.block.{i}.layer"
                for part, its in self._block_names(decoder=decoder).items():
                    names[f"{ours}.{part}.weight"] = Renamed(tuple(f"{theirs}.{name}.weight" for name in its))
        return names

    def _block_names(self, *, decoder: bool) -> dict[str, tuple[str, ...]]:
        last = 2 if decoder else 1
        fed = f"{last}.DenseReluDense"
        names: dict[str, tuple[str, ...]] = {
            "attention_norm": ("0.layer_norm",),
            "qkv": tuple(f"0.SelfAttention.{part}" for part in "qkv"),
            "attention_out": ("0.SelfAttention.o",),
            "inner_norm": (f"{last}.layer_norm",),
            "inner": (f"{fed}.wi_0", f"{fed}.wi_1") if self.config.gated else (f"{fed}.wi",),
            "outer": (f"{fed}.wo",),
        }
        if decoder:
            names |= {
                "memory_norm": ("1.layer_norm",),
                "memory_query": ("1.EncDecAttention.q",),
                "memory_key_value": ("1.EncDecAttention.k", "1.EncDecAttention.v"),
                "memory_out": ("1.EncDecAttention.o",),
            }
        return names
