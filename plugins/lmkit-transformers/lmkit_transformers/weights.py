"""Weights: those of a model of lmkit in one of transformers, and back, to the last name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from lmkit.errors import FitError
from lmkit.interfaces import Trained
from lmkit.parts.renaming import from_transformers, to_transformers
from lmkit_transformers.kinds import KINDS, range_of

_MATRIX = "weight"
"""What a vocabulary head that is not tied calls its own matrix; each class of transformers has another name for it."""


def fill(twin: PreTrainedModel, model: Trained) -> list[str]:
    """Give `twin` the weights of `model`; returns the names of those that its class has no place for.

    Raises FitError where one of its own would stay as it was drawn.
    """
    encoder = model.encoder
    names = encoder.transformers_names()
    if names is None:
        raise FitError(f'encoder "{encoder.name}" does not say what its weights are called in transformers')
    prefix, its_names = _prefix(twin), encoder.transformers_heads.get(model.objective.head_kind, {})
    body = to_transformers(names, encoder.state_dict())
    # A layer of the encoder may be one of the head there, such as RoBERTa's pooler.
    given = {(it if (it := renamed(n, its_names)) != n else f"{prefix}{n}"): weight for n, weight in body.items()}
    head = {renamed(name, its_names): weight for name, weight in _head(model).items()}
    given |= head
    there = twin.state_dict()
    left_out = sorted(given.keys() - there.keys() - {_MATRIX})
    homeless = [name for name in left_out if name in head]
    if homeless and KINDS[model.objective.head_kind].needs_head:
        raise FitError(f"transformers' {type(twin).__name__} has no place for the head's {', '.join(homeless)}")
    own_matrix = head.get(_MATRIX)
    twin.load_state_dict({name: given[name] for name in given.keys() & there.keys()}, strict=False)
    if own_matrix is None:
        twin.tie_weights()
    else:
        twin.get_output_embeddings().weight = nn.Parameter(own_matrix)
    now = twin.state_dict()
    filled = {now[name].data_ptr() for name in given.keys() & there.keys()}
    if own_matrix is not None:
        filled.add(own_matrix.data_ptr())
    for name, weight in now.items():
        if weight.data_ptr() not in filled and name in dict(twin.named_parameters()):
            if not name.endswith(".bias"):
                raise FitError(f"transformers' {type(twin).__name__} has a weight {name}, which this model lacks")
            with torch.no_grad():
                weight.zero_()  # a bias that this model does without
    return left_out


def _head(model: Trained) -> dict[str, Tensor]:
    """The head's weights; those of a head of numbers give the numbers themselves."""
    weights = {name: weight.detach().clone() for name, weight in model.head.state_dict().items()}
    lowest, highest = range_of(model.head)
    if (lowest, highest) != (0.0, 1.0):
        if "dense.bias" in weights:
            weights["dense.bias"] = weights["dense.bias"] * (highest - lowest) + lowest
        elif lowest:
            raise FitError(
                f"transformers' {model.encoder.transformers_type} has no bias for numbers, so they start at 0; this "
                f"task's start at {lowest:g} (lowest)"
            )
        weights["dense.weight"] = weights["dense.weight"] * (highest - lowest)
    return weights


def take(model: Trained, base: Mapping[str, Tensor], head: Mapping[str, Tensor]) -> tuple[Sequence[str], Sequence[str]]:
    """Give `model` the weights of an encoder and a head of transformers; the names of those that each has not got.

    Raises FitError for weights of the encoder that `model` has no place for.
    """
    encoder = model.encoder
    names = encoder.transformers_names()
    assert names is not None
    fresh = to_transformers(names, encoder.state_dict())
    its_names, own = encoder.transformers_heads.get(model.objective.head_kind, {}), model.head.state_dict()
    base = {**base, **{n: head[it] for n in fresh if (it := renamed(n, its_names)) != n and it in head}}
    unknown = sorted(base.keys() - fresh.keys())
    if unknown:
        raise FitError(f'encoder "{encoder.name}" has no place for {", ".join(unknown[:3])}: {len(unknown)} weights')
    learned = {name for parameter, _ in encoder.named_parameters() for name in names[parameter].names}
    missing = sorted(learned - base.keys())
    encoder.load_state_dict(from_transformers(names, fresh | base), strict=True)
    found = {name: head[renamed(name, its_names)] for name in own if renamed(name, its_names) in head}
    model.head.load_state_dict({**own, **found}, strict=True)
    return missing, sorted(own.keys() - found.keys())


def renamed(name: str, names: Mapping[str, str]) -> str:
    """A parameter of a head under its name in transformers; `names` has it, or the module that it is of."""
    if name in names:
        return names[name]
    module, _, last = name.rpartition(".")
    return f"{names[module]}.{last}" if module in names else name


def head_of(twin: PreTrainedModel, lacks: Collection[str]) -> dict[str, Tensor]:
    """All weights of a model but those that it `lacks`, its scores' matrix by lmkit's name too."""
    head = {name: weight.detach() for name, weight in twin.state_dict().items() if name not in lacks}
    output = twin.get_output_embeddings()
    return head if output is None else {_MATRIX: output.weight.detach(), **head}


def body_of(twin: PreTrainedModel, lacks: Collection[str]) -> dict[str, Tensor]:
    """The weights of a model's base, without its prefix, but for those that it `lacks`; tied ones once."""
    prefix, output = _prefix(twin), twin.get_output_embeddings()
    own = output is not None and output.weight is not twin.get_input_embeddings().weight
    of_scores = output.weight if own else None  # some classes are a base and have a head as well
    return {
        name.removeprefix(prefix): weight.detach()
        for name, weight in twin.named_parameters()
        if name.startswith(prefix) and name not in lacks and weight is not of_scores
    }


def _prefix(twin: nn.Module) -> str:
    [name] = [name for name, module in twin.named_modules() if module is getattr(twin, "base_model", twin)][:1]
    return f"{name}." if name else ""
