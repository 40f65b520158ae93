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
    # Each half by itself: of one product of the whole, inductor's kernel for processors (torch 2.13) reads what nobody
    # wrote, and gradients in bf16 are not numbers.
    cosine, sine = (part.chunk(2, dim=-1)[0] for part in by)
    first, second = states.float().chunk(2, dim=-1)
    turned = torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
    return turned.to(states.dtype)
