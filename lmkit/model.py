"""Model = encoder + objective + head: what the engine trains. Pairs that do not fit are refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lmkit.batch import Batch
from lmkit.errors import FitError, LmkitError
from lmkit.interfaces import Encoder, Objective, Task, Vocabulary


class Model(nn.Module):
    """Sums an objective's loss over a batch; `head` is the objective's own, built for `encoder`."""

    def __init__(self, encoder: Encoder, objective: Objective[Any], head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.objective = objective
        self.head = head

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """One sum for each loss term."""
        return self.objective.loss(self.encoder, self.head, batch)

    def measure(self, batch: Batch) -> dict[str, Tensor]:
        """The sums of validation: each term's loss and what else the objective measures."""
        return self.objective.measure(self.encoder, self.head, batch)

    def roles(self) -> Mapping[str, str]:
        """Every parameter's role, under its name in this module."""
        head = {f"head.{name}": role for name, role in self.objective.head_roles(self.head).items()}
        return {f"encoder.{name}": role for name, role in self.encoder.roles().items()} | head

    def depths(self) -> Mapping[str, int]:
        """How far below the head each parameter is, in layers: 0 for the head and what follows the last layer, 1 for
        the last layer, and so on; what comes before the first layer is one deeper than that.
        """
        layers = self.encoder.layers
        owner = {id(p): number for number, layer in enumerate(layers) for p in layer.parameters()}
        depths = {}
        before_layers = True  # in the order in which the encoder made its parts
        for name, parameter in self.encoder.named_parameters():
            number = owner.get(id(parameter), -1 if before_layers else len(layers))
            before_layers = number < 0
            depths[f"encoder.{name}"] = len(layers) - number
        if self.encoder.pooler is not None:
            pooler = {id(p) for p in self.encoder.pooler.parameters()}
            depths |= {f"encoder.{name}": 0 for name, p in self.encoder.named_parameters() if id(p) in pooler}
        return depths | {f"head.{name}": 0 for name, _ in self.head.named_parameters()}

    def freeze(self, layers: int | Literal["all"]) -> None:
        """Let the lowest `layers` and what comes before them learn no more; "all": every layer.

        Raises FitError where the encoder has fewer, or where nothing is left to train.
        """
        there = len(self.encoder.layers)
        lowest = there if layers == "all" else layers
        if lowest > there:
            raise FitError(f'train.frozen_layers is {lowest}, but encoder "{self.encoder.name}" has {there} layers')
        depths, parameters = self.depths(), dict(self.named_parameters())
        for name, depth in depths.items():
            if layers and depth > there - lowest:
                parameters[name].requires_grad_(False)
        if not any(parameter.requires_grad for parameter in parameters.values()):
            raise FitError(f"train.frozen_layers = {layers!r} leaves nothing to train: this head has no weights")


def why_not(encoder: type[Encoder], objective: Objective[Any] | type[Objective[Any]]) -> str | None:
    """Why this objective cannot train on this encoder, or None where it can."""
    if objective.attention not in encoder.attention:
        able = ", ".join(sorted(encoder.attention))
        return (
            f'objective "{objective.name}" needs an encoder with {objective.attention} attention; '
            f'encoder "{encoder.name}" has {able}'
        )
    if objective.needs_context and not encoder.takes_context:
        return f'objective "{objective.name}" needs an encoder that reads a context; encoder "{encoder.name}" does not'
    return None


def why_not_task(task: type[Task], head_kind: str) -> str | None:
    """Why this task cannot use a head of this kind, or None where it can."""
    if head_kind in task.reads:
        return None
    wanted = ", ".join(sorted(task.reads))
    return f'task "{task.name}" reads heads of kind {wanted}; this run has a head of kind {head_kind}'


def build_model(
    encoder: type[Encoder], config: Any, objective: Objective[Any], vocabulary: Vocabulary, *, seed: int, longest: int
) -> Model:
    """A model with fresh weights, drawn from `seed` alone; raises FitError where the parts do not fit.

    `longest` is the longest sequence that will be read, in tokens.
    """
    reason = why_not(encoder, objective)
    if reason:
        raise FitError(reason)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            built = encoder(config, vocabulary)
            head = objective.build_head(built)
        except LmkitError:
            raise
        except (Exception, SystemExit) as error:  # no memory for it, or a plugin's own failure
            raise FitError(
                f'encoder "{encoder.name}" with the head of objective "{objective.name}" cannot be built: '
                f"{type(error).__name__}: {str(error).partition(chr(10))[0]:.200}. Make it smaller, or ask its author"
            ) from error
        check_length(built, longest, "train.block_tokens is")
    return join(built, objective, head)


def join(encoder: Encoder, objective: Objective[Any], head: nn.Module) -> Model:
    """The model of these parts; the pooler is frozen where the objective does not use it."""
    if not objective.pools and encoder.pooler is not None:
        encoder.pooler.requires_grad_(False)
    return Model(encoder, objective, head)


def check_length(encoder: Encoder, longest: int, what: str) -> None:
    """Raise FitError where `encoder` cannot read sequences of `longest` tokens; `what` says where they come from."""
    if encoder.longest is not None and longest > encoder.longest:
        raise FitError(
            f'encoder "{encoder.name}" reads at most {encoder.longest} tokens, but {what} {longest}: '
            f"lower it, or build the encoder with more positions"
        )
