"""The vocabulary's cross entropy, summed, in chunks: its memory does not grow with the number of positions.

The gradient of each chunk is made while its logits are at hand, in the forward pass, so that logits are computed once
and never kept: a quarter less matrix work than recomputing them, and [chunk, vocabulary] numbers, not [N, vocabulary].
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK = 512
"""Positions whose logits are held at once: with 8,192 tokens of vocabulary they then fit a CPU's cache."""


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum over n of weights[n] * -log softmax(features[n] @ embedding.T + bias)[targets[n]]."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, embedding: Tensor, bias: Tensor | None, targets: Tensor, weights: Tensor
    ) -> Tensor:
        total = torch.zeros((), dtype=torch.float32, device=features.device)
        wants_gradient = any(ctx.needs_input_grad)
        d_features = torch.empty_like(features) if wants_gradient else None
        d_embedding = torch.zeros_like(embedding, dtype=torch.float32) if wants_gradient else None
        d_bias = torch.zeros_like(bias, dtype=torch.float32) if wants_gradient and bias is not None else None
        for start in range(0, features.shape[0], CHUNK):
            chunk = slice(start, start + CHUNK)
            logits = features[chunk] @ embedding.t()  # [chunk, vocabulary]
            if bias is not None:
                logits = logits + bias.to(logits.dtype)
            target, weight = targets[chunk, None], weights[chunk]
            scores = torch.log_softmax(logits, dim=-1, dtype=torch.float32)
            total = total - (scores.gather(1, target)[:, 0] * weight).sum()
            if d_features is not None and d_embedding is not None:
                slope = scores.exp_().scatter_add_(1, target, torch.full_like(target, -1, dtype=torch.float32))
                if d_bias is not None:
                    d_bias = d_bias + weight @ slope
                # Weights are few where slopes are many: they scale the features instead.
                slope = slope.to(features.dtype)
                scale = weight[:, None].to(features.dtype)
                d_features[chunk] = (slope @ embedding) * scale
                d_embedding = d_embedding + (slope.t() @ (features[chunk] * scale)).float()
        ctx.save_for_backward(d_features, d_embedding, d_bias)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        d_features, d_embedding, d_bias = ctx.saved_tensors
        scale = upstream[0]
        return (
            d_features * scale.to(d_features.dtype),
            (d_embedding * scale).to(d_features.dtype),
            None if d_bias is None else d_bias * scale,
            None,
            None,
        )


def cross_entropy_sum(
    features: Tensor, embedding: Tensor, targets: Tensor, *, bias: Tensor | None = None, weights: Tensor | None = None
) -> Tensor:
    """Sum of the cross entropies of [N, vocabulary] logits `features @ embedding.T + bias`, in float32.

    `features` [N, width], `embedding` [vocabulary, width], `targets` [N] ids, `weights` [N] (0 for an unused slot).
    """
    if torch.is_autocast_enabled(features.device.type):
        dtype = torch.get_autocast_dtype(features.device.type)
        features, embedding = features.to(dtype), embedding.to(dtype)
    if weights is None:
        weights = torch.ones_like(targets, dtype=torch.float32)
    total: Tensor = _ChunkedCrossEntropy.apply(features, embedding, bias, targets, weights)  # type: ignore[no-untyped-call]
    return total
