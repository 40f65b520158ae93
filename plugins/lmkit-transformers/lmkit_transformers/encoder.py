"""Encoder "transformers": any architecture that AutoModel builds from a config.json, with fresh weights.

Comfort before speed: every sequence is laid into a row of its own, with a mask of who sees whom. The architectures that
lmkit has itself are several times faster there; `lmkit import` takes those where it can, and this one where it cannot.
"""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig

from lmkit.batch import Attention, Example, Packed, pack
from lmkit.errors import FitError
from lmkit.interfaces import Encoder, HeadStyle, Renamed, Vocabulary
from lmkit_transformers.predictions import PREDICTIONS, TASKS, style_of
from lmkit_transformers.tokenizer import told

HELPERS = ("transformers_version", "architectures", "dtype", "torch_dtype", "_name_or_path", "vocab_size")
"""Keys of a config.json that say nothing of the shape, or what the tokenizer says."""
_SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings")
_SMALL = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "tie_word_embeddings": True,
}


def _table(given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f"config: expected a table such as {{ model_type = 'llama' }}, got {given!r:.60}")
    return {key: value for key, value in given.items() if key not in HELPERS and value is not None}


@attrs.frozen(kw_only=True)
class AnyEncoderConfig:
    """The architecture; its weights are fresh: `lmkit import` starts from those of a folder."""

    config: Mapping[str, Any] = attrs.field(factory=dict, converter=_table)
    """What a config.json would say: model_type, and what differs from its defaults; by default a small Llama."""
    file: Path | None = None
    """A config.json, or a folder that has one; keys of `config` go before its own, and a run remembers them all."""
    null: tuple[str, ...] = ()
    """Keys of the config.json that are null there, for which TOML has no word."""

    def __attrs_post_init__(self) -> None:
        if self.file is not None:
            there = _read(self.file)
            told_null = (key for key, value in there.items() if value is None)
            null = tuple(key for key in told_null if key not in (*self.config, *HELPERS))
            object.__setattr__(self, "config", {**_table(there), **self.config})
            object.__setattr__(self, "null", tuple(dict.fromkeys((*self.null, *null))))
            object.__setattr__(self, "file", None)
        if not self.config:
            object.__setattr__(self, "config", dict(_SMALL))
        if taken := sorted({*self.config, *HELPERS, "model_type"} & set(self.null)):
            raise ValueError(f"null: {', '.join(taken)} cannot be null: leave it out there, or in config")
        if "model_type" not in self.config:
            raise ValueError("config: model_type is missing, such as 'llama'; or name a config.json by file")


class AnyEncoder(Encoder):
    """An architecture of transformers; what it can do is found out by asking it."""

    name = "transformers"
    Config = AnyEncoderConfig
    attention: ClassVar[frozenset[Attention]] = frozenset({"bidirectional", "causal", "mixed"})

    def __init__(self, config: AnyEncoderConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.config = config
        self.architecture = _architecture(config, vocabulary)
        self._filler = vocabulary.special["pad"]
        self.model = AutoModel.from_config(self.architecture, trust_remote_code=False).float()
        embedding = self.model.get_input_embeddings()
        if isinstance(embedding, nn.Embedding):
            embedding.padding_idx = None  # the filler may be a token that means something elsewhere
        self.width = int(self.architecture.hidden_size)
        if not isinstance(embedding, nn.Embedding) or embedding.embedding_dim != self.width:
            raise FitError(f"{self._type}: its token embedding is not as wide as its hidden states")
        self._only_fillers = False  # whether its mask says no more than where a row is filled
        self._takes = frozenset(inspect.signature(self.model.forward).parameters)
        self.able = self._abilities()

    @property
    def transformers_heads(self) -> Mapping[str, Mapping[str, str]]:
        """Of what reads from the left, the embedding or a matrix; of others, where their parts are known."""
        heads = dict(TASKS.get(self._type, {}))
        if self._type in PREDICTIONS:
            heads["token"] = PREDICTIONS[self._type]
        else:
            heads |= {kind: {} for kind in ("next-token", "masked-next-token")}
        return heads

    @property
    def head_style(self) -> HeadStyle:
        return style_of(self.architecture)

    @property
    def token_embedding(self) -> nn.Embedding:  # type: ignore[override]
        """The model's own, so that it is stored once."""
        found: nn.Embedding = self.model.get_input_embeddings()
        return found

    def forward(self, inputs: Packed) -> Tensor:
        """Raises FitError for attention that the architecture has not."""
        if inputs.attention not in self.able:
            able = " or ".join(sorted(self.able))
            raise FitError(f'a "{self._type}" of transformers reads with {able} attention, not {inputs.attention}')
        return self._read(inputs)

    def _read(self, inputs: Packed) -> Tensor:
        lengths = inputs.last - inputs.first + 1
        steps = torch.arange(int(lengths.max()), device=inputs.tokens.device)
        real = steps < lengths[:, None]
        places = torch.where(real, inputs.first[:, None] + steps, 0)
        seen = real[:, None, None, :].expand(-1, 1, len(steps), -1)
        if inputs.attention == "causal":
            seen = seen & (steps <= steps[:, None])
        elif inputs.attention == "mixed" and inputs.reach is not None:
            seen = seen & (steps <= inputs.reach[places][:, None, :, None])
        seen = seen | torch.eye(len(steps), dtype=torch.bool, device=steps.device)  # what fills a row sees itself
        asked: dict[str, Any] = {"input_ids": torch.where(real, inputs.tokens[places], self._filler)}
        asked["attention_mask"] = real.long() if self._only_fillers else seen
        if getattr(self.architecture, "type_vocab_size", 0) > 1 and inputs.segments is not None:
            asked["token_type_ids"] = torch.where(real, inputs.segments[places], 0)
        if "use_cache" in self._takes:
            asked["use_cache"] = False
        hidden: Tensor = self.model(**asked).last_hidden_state
        tokens = inputs.tokens.numel()
        back = torch.where(real, places, tokens).flatten()  # what fills a row goes behind the end
        flat = hidden.new_zeros(tokens + 1, self.width)
        return flat.index_copy(0, back, hidden.flatten(0, 1))[:tokens]

    def _abilities(self) -> frozenset[Attention]:
        """Which attention it really reads with: whether a later token changes what stands before it, and should.

        Raises FitError where what fills a row changes what is read.
        """
        vocabulary = self.token_embedding.num_embeddings
        ids = np.arange(1, 7) % vocabulary
        other = np.append(ids[:-1], (ids[-1] + 1) % vocabulary)

        def states(tokens: npt.NDArray[np.int64], attention: Attention, *beside: npt.NDArray[np.int64]) -> Tensor:
            examples = [Example(tokens=t, lengths=(len(t),)) for t in (tokens, *beside)]
            inputs, starts = pack(examples, attention=attention, filler=self._filler)
            return self._read(inputs)[starts[0] : starts[0] + len(tokens)]

        def unlike() -> str | None:
            """Why it cannot be read beside what fills its row, or None."""
            try:
                alone, beside = states(ids[:4], "causal"), states(ids[:4], "causal", ids)
            except Exception as error:  # whatever it does with a mask that it does not know
                return f"it fails with a mask: {told(error)}"
            return None if torch.allclose(alone, beside, atol=1e-5) else "what fills a row would change what is read"

        training = self.model.training
        kinds: tuple[Attention, ...] = ("bidirectional", "causal")
        self.model.eval()
        with torch.inference_mode():
            self._only_fillers = unlike() is not None  # then it reads as it always does
            if self._only_fillers and (reason := unlike()):
                raise FitError(f'a "{self._type}" has no mask that lmkit could use: {reason}')
            both = {kind: (states(ids, kind)[:-1], states(other, kind)[:-1]) for kind in kinds}
            changed = {kind: not torch.allclose(*pair, rtol=0, atol=1e-6) for kind, pair in both.items()}
        self.model.train(training)
        able: set[Attention] = {kind for kind in kinds if changed[kind] == (kind == "bidirectional")}
        return frozenset(able | {"mixed"} if len(able) == len(kinds) else able)

    @property
    def _type(self) -> str:
        return str(self.architecture.model_type)

    @property
    def longest(self) -> int | None:
        """By its config; a table of positions that begins after that of the filler (RoBERTa) has room for fewer."""
        found = getattr(self.architecture, "max_position_embeddings", None)
        if not isinstance(found, int) or found <= 0:
            return None
        tables = [part for name, part in self.model.named_modules() if name.endswith("position_embeddings")]
        skipped = [part.padding_idx + 1 for part in tables if getattr(part, "padding_idx", None) is not None]
        return found - max(skipped, default=0)

    @property
    def pooler(self) -> nn.Module | None:
        """BERT's kind of it, which reads the first state."""
        found = getattr(self.model, "pooler", None)
        return found if isinstance(getattr(found, "dense", None), nn.Linear) else None

    def pool(self, hidden: Tensor, inputs: Packed) -> Tensor:
        if self.pooler is None or inputs.attention != "bidirectional":
            return super().pool(hidden, inputs)
        pooled: Tensor = self.pooler(hidden[inputs.first][:, None])
        return pooled

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The longest list of modules in it."""
        lists = [tuple(module) for module in self.model.modules() if isinstance(module, nn.ModuleList)]
        return max(lists, key=len, default=())

    def smaller(self, factor: float) -> AnyEncoderConfig:
        """With fewer heads of the same size; raises FitError where its config has other names for them."""
        own = self.architecture
        if not hasattr(own, "num_attention_heads") or not hasattr(own, "intermediate_size"):
            raise FitError(f'a "{self._type}" does not say how to make a smaller one of itself')
        heads = max(1, round(own.num_attention_heads * factor))
        table = dict(self.config.config)
        for name in ("hidden_size", "intermediate_size"):
            table[name] = max(1, getattr(own, name) * heads // own.num_attention_heads)
        table["num_attention_heads"] = heads
        if hasattr(own, "num_key_value_heads"):
            table["num_key_value_heads"] = next(n for n in range(own.num_key_value_heads, 0, -1) if heads % n == 0)
        return AnyEncoderConfig(config=table, null=self.config.null)

    def transformers_config(self, attention: Attention) -> Mapping[str, Any]:
        own: dict[str, Any] = self.architecture.to_diff_dict()
        return {
            **{k: v for k, v in own.items() if k not in HELPERS},
            "model_type": self._type,
            "tie_word_embeddings": self.head_style.tied,
        }

    def transformers_names(self) -> Mapping[str, Renamed]:
        return {name: Renamed((name.removeprefix("model."),)) for name in self.state_dict()}


def _read(path: Path) -> dict[str, Any]:
    path = path / "config.json" if path.is_dir() else path
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"file: {path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f'file: {path}: expected an object such as {{"model_type": "llama"}}')
    return found


def _architecture(config: AnyEncoderConfig, vocabulary: Vocabulary) -> PreTrainedConfig:
    if "auto_map" in config.config:
        raise FitError("config: auto_map names code that comes with the model, which is not run")
    fields = {key: value for key, value in config.config.items() if key != "model_type"}
    special = {f"{role}_token_id": vocabulary.special.get(role) for role in ("pad", "bos", "eos")}
    fields = {**special, **dict.fromkeys(config.null), **fields}
    try:
        made = AutoConfig.for_model(config.config["model_type"], **fields, vocab_size=vocabulary.size)
    except Exception as error:  # each config checks itself, by errors of many kinds
        raise FitError(f"config: {told(error)}") from error
    for key in _SIZES:
        if isinstance(said := getattr(made, key, None), int) and said < 1:
            raise FitError(f"config: {key} is {said}, expected 1 or more")
    known = {*type(made)().to_dict(), *made.attribute_map, *vars(type(made)), *special}
    if unknown := sorted(fields.keys() - known):  # which transformers keeps, and does nothing with
        warnings.warn(f'config: a "{made.model_type}" of transformers knows no {", ".join(unknown)}', stacklevel=2)
    kinds = set(getattr(made, "layer_types", None) or ())
    if getattr(made, "sliding_window", None) or kinds & {"sliding_attention", "chunked_attention"}:
        raise FitError(f'a "{made.model_type}" whose layers see a window only is not read here: its mask would be lost')
    if made.is_encoder_decoder or not hasattr(made, "hidden_size"):
        raise FitError(f'a "{made.model_type}" is not one stack of layers over tokens')
    return made
