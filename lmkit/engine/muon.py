"""Muon: momentum, then each hidden matrix's update made orthogonal (Jordan et al. 2024, "Muon: An optimizer for hidden
layers in neural networks").

torch.optim.Muon does one matrix at a time and takes a fused QKV for one matrix; here matrices of one shape are
orthogonalized together, and a stack of N matrices in one parameter counts as N.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lmkit.engine.parallel import part, share, whole

# Coefficients of the quintic Newton-Schulz iteration, from the paper.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5


class Muon:
    """Steps hidden matrices.

    `stacks[i]` says how many matrices parameter i holds along its first dimension, `scales[i]` which share of the
    learning rate it gets.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        stacks: Sequence[int],
        scales: Sequence[float],
        *,
        learning_rate: float,
        momentum: float,
        weight_decay: float,
        dtype: torch.dtype,
    ) -> None:
        self._groups: dict[tuple[int, int, float], list[tuple[nn.Parameter, int]]] = defaultdict(list)
        for parameter, stack, scale in zip(parameters, stacks, scales, strict=True):
            rows, columns = parameter.shape[0] // stack, parameter.shape[1]
            self._groups[rows, columns, scale].append((parameter, stack))
        self.momenta = {parameter: torch.zeros_like(parameter) for parameter in parameters}
        self.learning_rate = learning_rate
        self._momentum = momentum
        self._weight_decay = weight_decay
        self._dtype = dtype

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """One update at `factor` times the peak learning rate; parameters without a gradient stay."""
        for (rows, columns, scale), members in self._groups.items():
            rate = self.learning_rate * factor * scale
            members = [(p, n) for p, n in members if p.grad is not None]
            if not members:
                continue
            updates = [whole(self._momentum_update(p)).view(n, rows, columns) for p, n in members]
            # Tall matrices get a larger step, so that each output moves as much.
            scaled = rate * max(1.0, rows / columns) ** 0.5
            orthogonal = orthogonalize(torch.cat(updates), self._dtype)
            for (parameter, _), update in zip(members, torch.split(orthogonal, [n for _, n in members]), strict=True):
                parameter.mul_(1 - rate * self._weight_decay)
                moved = update.reshape(parameter.shape).to(parameter.dtype)
                part(parameter).add_(share(moved, parameter), alpha=-scaled)

    def _momentum_update(self, parameter: nn.Parameter) -> Tensor:
        assert parameter.grad is not None
        momentum = self.momenta[parameter]
        momentum.lerp_(parameter.grad, 1 - self._momentum)
        return parameter.grad.lerp(momentum, self._momentum)  # Nesterov


def orthogonalize(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """The nearest semi-orthogonal matrices to `matrices` [N, rows, columns], roughly: singular values near 1."""
    x = matrices.to(dtype)
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2)
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x.transpose(1, 2) if tall else x
