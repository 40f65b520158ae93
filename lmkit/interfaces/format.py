"""Format: a way out of lmkit and back into it. Not a part of a model, but a plugin all the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from torch import nn

from lmkit.errors import DataError
from lmkit.interfaces.encoder import Encoder
from lmkit.interfaces.objective import Objective
from lmkit.interfaces.tokenizer import Tokenizer


@attrs.frozen(kw_only=True, eq=False)
class History:
    """How a model came to be, for the card that goes with it."""

    name: str
    """Of its run's folder."""
    recipe: Mapping[str, Any]
    """Its config.toml as tables, paths with no more than their last two parts."""
    components: Sequence[Mapping[str, Any]]
    """Which plugin, in which version, each part is from."""
    events: Sequence[Mapping[str, Any]]
    """Lines of metrics.jsonl, in their order."""
    environment: Mapping[str, Any]
    """Versions of lmkit and torch, and the machine's kind."""


@attrs.frozen(kw_only=True, eq=False)
class Trained:
    """A model on its way into another format or out of one; its weights are float32."""

    tokenizer: Tokenizer
    encoder: Encoder
    objective: Objective[Any]
    """What its head is for."""
    head: nn.Module
    labels: Sequence[str] = ()
    """Of a task whose labels come from its data."""


@attrs.frozen(kw_only=True)
class Workshop:
    """What an import may use of lmkit."""

    tokenizers: Mapping[str, type[Tokenizer]]
    """Installed tokenizers by name."""
    encoders: Mapping[str, type[Encoder]]
    """Installed encoders by name."""
    build: Callable[..., Trained]
    """`build(tokenizer, encoder_name, encoder_config, objective=NAME)`, or task=NAME and labels=[...]: a model with
    fresh weights; further arguments are fields of the objective's or the task's Config.  Raises UnknownComponentError
    where one of them is not installed, FitError where they do not fit."""


@attrs.frozen(kw_only=True)
class Imported:
    """What an import found."""

    model: Trained
    notes: Sequence[str] = ()
    """Sentences on what is not as it was: weights that had to be fresh, parts that were left out."""


class Format(ABC):
    """Writes a trained model in another format, proves that it says the same there, and reads such a folder."""

    @abstractmethod
    def write(self, model: Trained, history: History, folder: Path) -> Mapping[str, Any]:
        """Write `model` into the empty `folder`, load it from there and compare; returns what was found.

        Raises FitError where the format has nothing that computes the same.
        """

    def fetch(self, name: str) -> Path:
        """A folder of this machine with what is published elsewhere as `name`, which a person typed.

        Raises DataError where it cannot be had, as by default.
        """
        raise DataError(f"hub:{name}: this format is read from folders only")

    @abstractmethod
    def read(self, folder: Path, workshop: Workshop) -> Imported:
        """The model in `folder`; raises DataError where it is not of this format, FitError where lmkit lacks what it
        needs.
        """
