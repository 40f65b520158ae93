"""Encoder: turns packed token ids into hidden states. It has no head; objectives build those."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs
from torch import Tensor, nn

from lmkit.batch import Attention, Cache, Packed
from lmkit.errors import FitError
from lmkit.interfaces.tokenizer import Vocabulary


@attrs.frozen(kw_only=True)
class HeadStyle:
    """How heads on this encoder are built, so that an export finds its own architecture's head."""

    transform: bool = False
    """A dense layer, activation and norm between hidden states and the vocabulary (BERT)."""
    activation: str = "gelu"
    """Of the transform: "gelu" (exact), "gelu_tanh", "relu", "relu2", "silu" or "tanh"."""
    transform_bias: bool = True
    """Whether the transform's dense layer and its norm have biases."""
    eps: float = 1e-5
    """Of the transform's layer norm."""
    bias: bool = False
    """A bias for each token of the vocabulary."""
    tied: bool = True
    """Whether scores of the vocabulary are by the token embedding; else the head has a matrix of its own for them."""
    softcap: float | None = None
    """Keeps the vocabulary's scores between this and its negative, by tanh."""
    scale: float = 1.0
    """States are multiplied by it before scores of the vocabulary."""
    transform_always: bool = False
    """Whether the transform also stands before scores of classes, tags and spans (ModernBERT)."""
    class_bias: bool = True
    """A bias for each class of a sequence (which GPT's classifiers lack)."""


@attrs.frozen
class Renamed:
    """One parameter of lmkit's under the names that transformers gives it."""

    names: tuple[str, ...]
    """Several: theirs, concatenated along the first dimension, are ours."""
    transposed: bool = False
    """Theirs is stored as [in, out] (GPT-2's Conv1D)."""
    sizes: tuple[int, ...] = ()
    """How large each of several is along that dimension; by default all are alike."""


class Encoder(nn.Module, ABC):
    """Turns packed token ids into hidden states: `__init__` and `forward` are enough, all else has a default."""

    name: ClassVar[str]
    Config: ClassVar[type[Any]]
    """A closed attrs class, each field with a sentence."""
    state_version: ClassVar[int] = 1
    """Raised when the weights change their names or meaning; `upgrade` then reads the older ones."""
    formerly: ClassVar[tuple[str, ...]] = ()
    """Names that it had before, "distribution:name" where it was another's: what was saved under them is found."""
    attention: ClassVar[frozenset[Attention]]
    """What it can do: "bidirectional", "causal", "mixed"."""
    takes_context: ClassVar[bool] = False
    """Whether it reads a second Packed, as decoders of encoder-decoder models do."""
    transformers_type: ClassVar[str | None] = None
    """`model_type` of the architecture in transformers that computes the same, or None where there is none."""

    width: int
    """Size of a hidden state."""
    token_embedding: nn.Embedding
    """[vocabulary, width]: vocabulary heads are tied to it, unless `head_style` says otherwise."""

    @abstractmethod
    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        """Build it with fresh weights, drawn from torch's generator; raises FitError for a config that cannot be."""
        super().__init__()

    @abstractmethod
    def forward(self, inputs: Packed) -> Tensor:
        """Hidden states [T, width] of `inputs`; no sequence may see another."""

    @property
    def longest(self) -> int | None:
        """Longest sequence it can read, in tokens; None: no limit."""
        return None

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The repeated blocks, first to last: for activation checkpointing, freezing and sharding.

        The parameters of one are used in its `forward` only, which is where it is whole when processes share it.
        """
        return ()

    @property
    def head_style(self) -> HeadStyle:
        """How heads on this encoder are built."""
        return HeadStyle()

    @property
    def transformers_heads(self) -> Mapping[str, Mapping[str, str]]:
        """Head kind -> each module or parameter of such a head -> what its model in transformers calls it."""
        return {}

    @property
    def pooler(self) -> nn.Module | None:
        """The module that `pool` needs beyond hidden states; an objective that does not pool freezes it."""
        return None

    def roles(self) -> Mapping[str, str]:
        """Parameter -> "hidden", "hidden/N" (N matrices stacked in one), "embedding" or "scalar".

        Muon trains hidden matrices, each of a stack alone; embeddings and scalars (norms, biases) go to AdamW, and
        scalars are not decayed.  By default: matrices of embeddings are "embedding", other matrices "hidden".
        """
        embeddings = {id(m.weight) for m in self.modules() if isinstance(m, nn.Embedding)}
        return {
            name: "embedding" if id(p) in embeddings else "hidden" if p.ndim == 2 else "scalar"
            for name, p in self.named_parameters()
        }

    def pool(self, hidden: Tensor, inputs: Packed) -> Tensor:
        """[S, width]: one state for each sequence, its first (bidirectional) or its last."""
        return hidden[inputs.first if inputs.attention == "bidirectional" else inputs.last]

    def new_cache(self, sequences: int, capacity: int) -> Cache | None:
        """An empty cache for `sequences` rows of at most `capacity` tokens; None: generation reads all again."""
        return None

    def smaller(self, factor: float) -> Any:
        """A Config of the same architecture, `factor` times as wide; raises FitError where it has none."""
        raise FitError(f'encoder "{self.name}" does not say how to make a smaller one of itself')

    def transformers_names(self) -> Mapping[str, Renamed] | None:
        """Each parameter under its names in transformers, or None where transformers has no such architecture."""
        return None

    def transformers_config(self, attention: Attention) -> Mapping[str, Any]:
        """Its shape as transformers' config.json says it, for a model that reads with `attention`.

        Raises FitError where transformers has no such architecture, or none that reads so.
        """
        raise FitError(f'encoder "{self.name}" has no architecture in transformers that computes the same')

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> Any:
        """The Config of the shape in transformers' config.json, defaults written out; raises FitError for one that
        computes what this encoder does not.
        """
        raise FitError(f'encoder "{cls.name}" does not read configs of transformers')

    @classmethod
    def upgrade(cls, weights: dict[str, Tensor], state_version: int) -> dict[str, Tensor]:
        """Weights saved by an older `state_version`, under today's names and meaning."""
        raise FitError(
            f'encoder "{cls.name}" does not read weights of state version {state_version}, only {cls.state_version}'
        )
