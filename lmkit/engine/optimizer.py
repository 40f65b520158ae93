"""One optimizer for the whole model: parameters are sorted by role, and its state is tensors by parameter name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw
from torch.profiler import record_function

from lmkit.engine.muon import Muon
from lmkit.engine.parallel import Rows, part, share
from lmkit.engine.settings import Training
from lmkit.engine.step import OPTIMIZER


class Optimizer:
    """Muon for hidden matrices and fused AdamW for the rest, or AdamW for all (Loshchilov and Hutter 2019)."""

    def __init__(
        self,
        model: nn.Module,
        roles: Mapping[str, str],
        settings: Training,
        *,
        matrix_dtype: torch.dtype,
        scales: Mapping[str, float] | None = None,
    ) -> None:
        """`scales`: parameter -> share of the learning rate that it gets, 1 where none is given."""
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        hidden = [n for n in named if settings.optimizer == "muon" and roles[n].startswith("hidden")]
        rest = [n for n in named if n not in set(hidden)]
        share = scales or {}
        self._named = named
        self._settings = settings
        self._groups: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
        for name in rest:
            decay = 0.0 if roles[name] == "scalar" else settings.weight_decay
            self._groups[decay, share.get(name, 1.0)].append(named[name])
        self._adamw = {  # now, not at the first step, so that a state is always whole
            parameter: {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
            for parameter in (named[n] for n in rest)
        }
        self._muon = Muon(
            [named[n] for n in hidden],
            [int(roles[n].partition("/")[2] or 1) for n in hidden],
            [share.get(n, 1.0) for n in hidden],
            learning_rate=settings.matrix_learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            dtype=matrix_dtype,
        )

    @property
    def muon_parameters(self) -> int:
        """Of the matrices that Muon steps, which have one number each to remember, where AdamW has two."""
        return sum(parameter.numel() for parameter in self._muon.momenta)

    def step(self, factor: float) -> None:
        """One update at `factor` times the peak learning rates."""
        with record_function(OPTIMIZER):
            for (decay, share), parameters in self._groups.items():
                self._step(parameters, decay, self._settings.learning_rate * factor * share)
            self._muon.step(factor)

    @torch.no_grad()
    def _step(self, parameters: Sequence[nn.Parameter], decay: float, learning_rate: float) -> None:
        """AdamW's update of those that have a gradient.

        By torch's function, as its class does: to make one of the class loads the compiler, for most of a second.
        """
        gradients = {p: p.grad for p in parameters if p.grad is not None}
        states = [self._adamw[p] for p in gradients]
        adamw(
            list(gradients),
            list(gradients.values()),
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=self._settings.beta1,
            beta2=self._settings.beta2,
            lr=learning_rate,
            weight_decay=decay,
            eps=1e-8,
            maximize=False,
        )

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self._named.values():
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """Everything it remembers, as "<parameter>.<what>" tensors."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in self._named.items():
            if parameter in self._muon.momenta:
                tensors[f"{name}.momentum"] = self._muon.momenta[parameter]
            else:
                tensors |= {f"{name}.{what}": value for what, value in self._adamw[parameter].items()}
        return tensors

    def load(self, tensors: Mapping[str, Rows]) -> None:
        """Take back what `state` gave; raises KeyError with names that differ, RuntimeError for a shape."""
        if surplus := tensors.keys() - self.state().keys():
            raise KeyError(f"nothing has use for {', '.join(sorted(surplus))}")
        for name, parameter in self._named.items():
            if parameter in self._muon.momenta:
                momentum = self._muon.momenta[parameter]
                part(momentum).copy_(share(tensors[f"{name}.momentum"], momentum))
                continue
            for what, value in self._adamw[parameter].items():
                part(value).copy_(share(tensors[f"{name}.{what}"], value))
