"""Rotary position embeddings (Su et al. 2021, section 3.4), in the halves that transformers uses."""

from __future__ import annotations

import torch
from torch import Tensor

Rotation = tuple[Tensor, Tensor]
"""Cosine and sine [R, 1, L, D] of each position's angles."""


def rotation(positions: Tensor, row_tokens: int, head_width: int, theta: float) -> Rotation:
    """The rotation of each of `positions` [T], for heads of `head_width`; made once a batch, for all layers."""
    exponents = torch.arange(0, head_width, 2, dtype=torch.float32, device=positions.device) / head_width
    angles = positions.float()[:, None] * theta**-exponents  # [T, D / 2]
    angles = torch.cat([angles, angles], dim=-1).view(-1, 1, row_tokens, head_width)
    return angles.cos(), angles.sin()


def rotated(states: Tensor, by: Rotation) -> Tensor:
    """[R, H, L, D] queries or keys, each turned by its position; in float32, and back."""
    cosine, sine = by
    wide = states.float()
    first, second = wide.chunk(2, dim=-1)
    return (wide * cosine + torch.cat([-second, first], dim=-1) * sine).to(states.dtype)
