"""Counterpart: an encoder's shape in the words of transformers' config.json, and back; nothing of it is imported.

One table serves both directions, so that what an export writes an import reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from lmkit.batch import Attention
from lmkit.errors import FitError
from lmkit.interfaces import Encoder

_ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_new", "relu": "relu", "relu2": "relu2", "silu": "silu"}
_SAME_ACTIVATION = {"gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh", "swish": "silu", "gelu_python": "gelu"}
_OURS = {theirs: ours for ours, theirs in _ACTIVATIONS.items()} | _SAME_ACTIVATION
_RESOLVED = {"heads": "num_heads", "key_heads": "num_key_heads", "feed_forward": "inner"}
"""Field of a Config whose default depends on others -> the property that has it resolved."""


@attrs.frozen(kw_only=True)
class Counterpart:
    """What an encoder's Config and a config.json call the same things."""

    model_type: str
    fields: Mapping[str, str]
    """Field of the Config -> key of the config.json; "activation" is translated."""
    only: Mapping[str, Any] = attrs.field(factory=dict)
    """Key of the config.json -> the one value with which it computes what the encoder computes."""

    def written(self, config: Any) -> dict[str, Any]:
        """Keys of a config.json for a Config."""
        values = {theirs: getattr(config, _RESOLVED.get(ours, ours)) for ours, theirs in self.fields.items()}
        if "activation" in self.fields:
            values[self.fields["activation"]] = _ACTIVATIONS[config.activation]
        return {"model_type": self.model_type, **self.only, **values}

    def read(self, theirs: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of a Config from a whole config.json; raises FitError for one that computes something else."""
        for key, wanted in self.only.items():
            if key in theirs and theirs[key] != wanted:
                raise FitError(
                    f"config.json: {key} is {theirs[key]!r}; lmkit's {self.model_type} computes what {wanted!r} means"
                )
        missing = [key for key in self.fields.values() if key not in theirs]
        if missing:
            raise FitError(f"config.json: {missing[0]} is missing, which a {self.model_type} has")
        values = {ours: theirs[key] for ours, key in self.fields.items()}
        if "activation" in values:
            name = values["activation"]
            if name not in _OURS:
                raise FitError(f"config.json: activation {name!r}; lmkit has those that it calls {', '.join(_OURS)}")
            values["activation"] = _OURS[name]
        return values


def require_attention(encoder: Encoder, attention: Attention, able: Attention) -> None:
    """Raise FitError where a model reads with another attention than its architecture in transformers does."""
    if attention != able:
        raise FitError(
            f"the {encoder.name} of transformers reads with {able} attention; this model was trained with {attention}"
        )


def rotary_base(parameters: Mapping[str, Any]) -> float:
    """The base of rotary angles in a config.json; raises FitError for angles that are scaled."""
    if parameters.get("rope_type", "default") != "default":
        raise FitError(
            f"config.json: rope_type is {parameters['rope_type']!r}; lmkit's rotary positions are not scaled"
        )
    return float(parameters["rope_theta"])
