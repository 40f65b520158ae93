"""Projection: what a run would need on many GPUs, from formulas; nothing of it is measured here.

Sources: Rajbhandari et al. 2020 (ZeRO), sections 3 and 7, for memory of states and volume of communication; Korthikanti
et al. 2022 (Reducing activation recomputation), section 4, for activations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from lmkit.errors import ConfigError
from lmkit.spelling import did_you_mean


@attrs.frozen(kw_only=True)
class Gpu:
    """A GPU and how it is wired, from its maker's data sheet."""

    memory: float
    """Bytes."""
    flops: float
    """Of bf16 a second, without sparsity."""
    inside: float
    """Bytes a second that it sends within a node."""
    between: float
    """Bytes a second that it sends between nodes, of its share of the node's network."""
    node: int = 8
    """GPUs of a node."""


GPUS: Mapping[str, Gpu] = MappingProxyType(
    {
        "h100": Gpu(memory=80e9, flops=989e12, inside=450e9, between=50e9),
        "h200": Gpu(memory=141e9, flops=989e12, inside=450e9, between=50e9),
        "a100": Gpu(memory=80e9, flops=312e12, inside=300e9, between=25e9),
        "l40s": Gpu(memory=48e9, flops=362e12, inside=32e9, between=12.5e9),
    }
)
_EFFICIENCY = 0.4
"""Share of the peak that a well fed GPU reaches in training; a large model's is higher, a small one's lower."""
_STATE = 16
"""Bytes a parameter: weight, gradient and AdamW's two moments in fp32."""
_ACTIVATIONS = 34
"""Bytes of activations that a layer keeps for each token and each of its width: bf16, without attention's matrix."""
_CHECKPOINT = 12
"""Bytes a parameter on disk: a weight and two moments."""
_MOMENT = 4
"""Of which Muon has one only."""


@attrs.frozen(kw_only=True)
class Model:
    """What the formulas know of a model."""

    parameters: int
    layers: int
    layer_parameters: int
    """Of the largest layer."""
    width: int
    flops_per_token: float
    """Forward and backward."""
    muon_parameters: int = 0
    """Of the matrices that Muon steps: with FSDP each process puts their momenta together, to make them orthogonal."""


def project(model: Model, *, world: int, gpu: str, batch_tokens: int, micro_tokens: int) -> dict[str, Any]:
    """Memory, communication and time of a step on `world` GPUs, for DDP and for FSDP.

    `batch_tokens` are those of a step over all; `micro_tokens` those of a pass of one.  Raises ConfigError for a GPU
    that is not known, or for more GPUs than there are tokens.
    """
    require(world=world, gpu=gpu, batch_tokens=batch_tokens)
    card = GPUS[gpu.lower()]
    tokens = batch_tokens / world
    compute = model.flops_per_token * tokens / (card.flops * _EFFICIENCY)
    link = card.inside if world <= card.node else card.between
    activations = _ACTIVATIONS * model.width * model.layers * min(micro_tokens, tokens)
    passes = math.ceil(tokens / micro_tokens)
    ways = {
        "ddp": _way(card, compute, link, _ddp_memory(model) + activations, ddp_bytes(model, world)),
        "fsdp": _way(card, compute, link, _fsdp_memory(model, world) + activations, fsdp_bytes(model, world, passes)),
    }
    return {
        "gpu": gpu.lower(),
        "world": world,
        "tokens a step of each": tokens,
        "compute seconds a step": compute,
        "checkpoint bytes": _CHECKPOINT * model.parameters - _MOMENT * model.muon_parameters,
        **ways,
        "assumed": f"{_EFFICIENCY:.0%} of the peak; gradients and weights travel in fp32; nothing of it was measured",
    }


def require(*, world: int, gpu: str, batch_tokens: int) -> None:
    """Raise ConfigError for a GPU that is not known, or for more GPUs than a step has tokens."""
    if gpu.lower() not in GPUS:
        raise ConfigError("--gpu", [f"expected {', '.join(GPUS)}, got {gpu!r}.{did_you_mean(gpu.lower(), GPUS)}"])
    if world < 1 or batch_tokens < world:
        raise ConfigError("--world", [f"expected 1 to {batch_tokens:,}, one token of a step for each, got {world:,}"])


def ddp_bytes(model: Model, world: int) -> float:
    """Bytes that each process sends a step: a ring's all-reduce of gradients in fp32."""
    return 2 * _ring(model.parameters, world)


def fsdp_bytes(model: Model, world: int, passes: int = 1) -> float:
    """Bytes that each process sends a step of so many micro-batches, all in fp32.

    Layers are gathered for the way forward and the way back, what is outside of them once for both; gradients are
    reduced and scattered once.
    """
    inside = model.layers * model.layer_parameters
    gathered = passes * (2 * inside + model.parameters - inside) + model.muon_parameters
    return _ring(gathered + model.parameters, world)


def _ring(numbers: int, world: int) -> float:
    """Bytes that each of a ring sends until all have so many numbers in fp32, or the sums of their share."""
    return 4 * (world - 1) / world * numbers


def _ddp_memory(model: Model) -> float:
    return _STATE * model.parameters - _MOMENT * model.muon_parameters


def _fsdp_memory(model: Model, world: int) -> float:
    """A share of all states, and two layers whole: one in use, the next on its way, with a gradient."""
    outside = model.parameters - model.layers * model.layer_parameters  # gathered together, for the head too
    return _ddp_memory(model) / world + 4 * (3 * model.layer_parameters + 2 * outside)


def _way(card: Gpu, compute: float, link: float, memory: float, sent: float) -> dict[str, Any]:
    travel = sent / link
    return {
        "bytes of memory": memory,
        "fits": memory <= card.memory,
        "bytes sent a step": sent,
        "seconds a step, travel hidden": max(compute, travel),
        "seconds a step, nothing hidden": compute + travel,
        "bound by": "compute" if compute >= travel else "the network",
    }


def shape_of(parameters: int, layers: Sequence[Any], width: int, flops_per_token: float, muon_parameters: int) -> Model:
    """The formulas' model of a torch one, whose `layers` are modules."""
    sizes = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    return Model(
        parameters=parameters,
        layers=len(sizes),
        layer_parameters=max(sizes, default=0),
        width=width,
        flops_per_token=flops_per_token,
        muon_parameters=muon_parameters,
    )
