"""Activations and initial weights that several encoders share."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmkit.parts.gelu import gelu


def _relu2(x: Tensor) -> Tensor:
    return F.relu(x).square()


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "gelu_tanh": partial(gelu, approximate="tanh"),
    "relu": F.relu,
    "relu2": _relu2,
    "silu": F.silu,
    "tanh": torch.tanh,
}
"""By name; "gelu" is the exact one, "relu2" a squared ReLU (So et al. 2021)."""


class RootMeanSquareNorm(nn.Module):
    """Scales states to a root mean square of 1, times a weight (Zhang and Sennrich 2019, section 4); in float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, states: Tensor) -> Tensor:
        wide = states.float()
        scaled = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        # Rounded once, at the end: rounded before the weight, as transformers does in bf16, inductor's kernels for
        # processors (torch 2.13) make gradients that are not numbers.
        return (self.weight * scaled).to(states.dtype)


def draw_weights(module: nn.Module, deviation: float) -> None:
    """Draw every matrix under `module` from N(0, deviation), and zero biases; norms keep ones and zeros."""
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Embedding)):
            nn.init.normal_(part.weight, std=deviation)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)


def draw_residuals(module: nn.Module, layers: int, deviation: float) -> None:
    """Draw again what each of `layers` adds to the residual stream, less for more of them: "attention_out" and "outer".

    (Radford et al. 2019, section 2.3.)
    """
    for name, weight in module.named_parameters():
        if name.endswith(("attention_out.weight", "outer.weight")):
            nn.init.normal_(weight, std=deviation * (2 * layers) ** -0.5)


def draw_sinusoids(embedding: nn.Embedding, deviation: float) -> None:
    """Set position embeddings to sinusoids (Vaswani et al. 2017, section 3.5) of this root mean square.

    Between two of them a distance is one linear map, wherever they lie, so that "the token before" is soon learned.
    """
    count, width = embedding.weight.shape
    frequencies = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))
    angles = torch.arange(count)[:, None] * frequencies
    waves = torch.stack([angles.sin(), angles.cos()], dim=-1).view(count, -1)[:, :width]
    with torch.no_grad():
        embedding.weight.copy_(math.sqrt(2) * deviation * waves)
