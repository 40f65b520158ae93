"""Adapters: put beside the matrices of a model's encoder to be trained, and added to them to be read."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TypeVar

import torch
from torch import Tensor, nn

from lmkit.errors import FitError
from lmkit.interfaces import Encoder
from lmkit.lora.settings import Lora
from lmkit.model import Model

T = TypeVar("T")

_BASE = ".base_layer"
_DOWN, _UP = ".lora_A.default.weight", ".lora_B.default.weight"


def check_adaptable(model: Model) -> None:
    """Raise FitError where `peft` is not installed, or where the encoder's layers have no matrices to adapt."""
    if find_spec("peft") is None:
        raise FitError("[lora] needs the library peft: pip install 'lmkit[lora]'")
    if not _targets(model.encoder):
        raise FitError(f'encoder "{model.encoder.name}" has no linear layers among its layers for [lora] to adapt')


def adapt(model: Model, lora: Lora, *, seed: int) -> None:
    """Freeze the encoder and put adapters beside the matrices of its layers, drawn from `seed`.

    A pooler that the objective uses is trained as before.
    """
    from peft import LoraConfig, inject_adapter_in_model

    encoder = model.encoder
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=_targets(encoder), bias="none"
    )
    learns = {id(p) for p in encoder.pooler.parameters() if p.requires_grad} if encoder.pooler is not None else set()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, encoder)
    for parameter in encoder.parameters():
        if id(parameter) in learns:
            parameter.requires_grad_(True)


def _targets(encoder: Encoder) -> list[str]:
    """Names of the linear layers inside the encoder's layers."""
    inside = {id(m) for layer in encoder.layers for m in layer.modules() if isinstance(m, nn.Linear)}
    return [name for name, module in encoder.named_modules() if id(module) in inside]


def of_adapted(model: Model, values: Mapping[str, T], adapter: T) -> dict[str, T]:
    """What belongs to each parameter's name, now that some matrices have adapters; `adapter` belongs to those."""
    return {
        name: adapter if name.endswith((_DOWN, _UP)) else values[name.replace(_BASE, "")]
        for name, _ in model.named_parameters()
    }


def merged(weights: Mapping[str, Tensor], lora: Lora) -> dict[str, Tensor]:
    """The weights of a model that was trained with adapters, as those of the same model without."""
    plain: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name.endswith((_DOWN, _UP)):
            continue
        owner = name.removesuffix(f"{_BASE}.weight")
        if owner != name:
            tensor = tensor + (lora.alpha / lora.rank) * weights[owner + _UP] @ weights[owner + _DOWN]
        plain[name.replace(_BASE, "")] = tensor
    return plain
