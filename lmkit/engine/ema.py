"""A running mean of the weights, used to validate and to predict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from lmkit.engine.parallel import Rows, part, share


class WeightAverage:
    """An exponential moving average of every trained parameter of `model`."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._named = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.tensors = {n: p.detach().clone() for n, p in self._named.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move the mean towards the weights of now."""
        means = [self.tensors[n] for n in self._named]
        torch._foreach_lerp_(means, [p.detach() for p in self._named.values()], 1 - self._decay)

    def load(self, tensors: Mapping[str, Rows]) -> None:
        """Take back what `tensors` held."""
        for name, mean in self.tensors.items():
            part(mean).copy_(share(tensors[name], mean))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While entered, the model has the averaged weights."""
        kept = {n: p.detach().clone() for n, p in self._named.items()}
        with torch.no_grad():
            for name, parameter in self._named.items():
                parameter.copy_(self.tensors[name])
            try:
                yield
            finally:
                for name, parameter in self._named.items():
                    parameter.copy_(kept[name])
