"""The vocabulary's cross entropy, summed, in chunks: its memory does not grow with the number of positions.

The gradient of each chunk is made while its logits are at hand, in the forward pass, so that logits are computed once
and never kept: a quarter less matrix work than recomputing them, and [chunk, vocabulary] numbers, not [N, vocabulary].
"""

from __future__ import annotations

from typing import Any

import attrs
import torch
from attrs import validators
from torch import Tensor

CHUNK = 512
"""Positions whose logits are held at once: with 8,192 tokens of vocabulary they then fit a CPU's cache."""


@attrs.frozen(kw_only=True)
class LossConfig:
    """What an objective over the vocabulary may add to its cross entropy in training; nothing by default."""

    label_smoothing: float = attrs.field(default=0.0, validator=[validators.ge(0), validators.lt(1)])
    """Share of a target that goes to all tokens alike (Szegedy et al. 2016, section 7)."""
    z_loss: float = attrs.field(default=0.0, validator=[validators.ge(0), validators.le(1)])
    """Weight of the squared logarithm of the softmax's normalizer, such as 1e-4 (Chowdhery et al. 2022, section 5)."""


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum over n of weights[n] * -log softmax(cap(features[n] @ embedding.T + bias))[targets[n]], and more.

    More is what a LossConfig asks for.  With p the softmax of the (capped) logits and log Z its normalizer's logarithm,
    the slope of one position is p (1 + 2 z log Z) - smoothing / vocabulary - (1 - smoothing) [target], and through the
    cap times 1 - tanh^2.
    """

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        embedding: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        weights: Tensor,
        smoothing: float,
        z_loss: float,
        softcap: float | None,
        dtype: torch.dtype,
        learns: bool,
    ) -> Tensor:
        ctx.kinds = features.dtype, embedding.dtype
        features, embedding = features.to(dtype), embedding.to(dtype)
        total = torch.zeros((), dtype=torch.float32, device=features.device)
        wants_gradient = learns and any(ctx.needs_input_grad)  # which says nothing of no_grad and inference_mode
        d_features = torch.empty_like(features) if wants_gradient else None
        d_embedding = torch.zeros_like(embedding, dtype=torch.float32) if wants_gradient else None
        d_bias = torch.zeros_like(bias, dtype=torch.float32) if wants_gradient and bias is not None else None
        for start in range(0, features.shape[0], CHUNK):
            chunk = slice(start, start + CHUNK)
            logits = features[chunk] @ embedding.t()  # [chunk, vocabulary]
            if bias is not None:
                logits = logits + bias.to(logits.dtype)
            if softcap is not None:
                tanh = torch.tanh(logits.float() / softcap)
                logits = tanh * softcap
            target, weight = targets[chunk, None], weights[chunk]
            log_z, shares = _softmax(logits)
            picked = logits.gather(1, target).float()
            losses = (log_z - picked)[:, 0]
            if smoothing:
                losses = (1 - smoothing) * losses + smoothing * (log_z[:, 0] - logits.float().mean(-1))
            if z_loss:
                losses = losses + z_loss * log_z[:, 0].square()
            total = total + (losses * weight).sum()
            if d_features is not None and d_embedding is not None:
                slope, less = shares, torch.full_like(picked, 1 - smoothing)
                if z_loss:
                    slope = slope * (1 + 2 * z_loss * log_z)
                if smoothing:
                    slope = slope - smoothing / slope.shape[1]
                if softcap is not None:
                    slope = slope * (1 - tanh.square())
                    less = less * (1 - (picked / softcap).square())
                slope = _lessened(slope, target, less, features.dtype)
                scale = weight[:, None].to(features.dtype)
                if d_bias is not None:
                    d_bias += (scale.t() @ slope)[0]
                # Weights are few where slopes are many: they scale the features instead.
                d_features[chunk] = (slope @ embedding) * scale
                d_embedding += slope.t() @ (features[chunk] * scale)
        ctx.save_for_backward(d_features, d_embedding, d_bias)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        d_features, d_embedding, d_bias = ctx.saved_tensors
        scale = upstream[0]
        of_features, of_embedding = ctx.kinds
        return (
            (d_features * scale.to(d_features.dtype)).to(of_features),
            (d_embedding * scale).to(of_embedding),  # summed in float32, and not rounded where the weights are not
            None if d_bias is None else d_bias * scale,
            *(None,) * 7,
        )


def _softmax(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithm of the softmax's normalizer [N, 1], and the softmax, in float32.

    As one kernel of torch; or where kernels are built, in the terms of which the fastest one is.
    """
    if not torch.compiler.is_compiling():
        scores = torch.log_softmax(logits, dim=-1, dtype=torch.float32)
        return logits[:, :1].float() - scores[:, :1], scores.exp_()
    highest = logits.float().amax(-1, keepdim=True)
    powers = torch.exp(logits.float() - highest)
    total = powers.sum(-1, keepdim=True)
    return highest + total.log(), powers * (1 / total)


def _lessened(slope: Tensor, target: Tensor, less: Tensor, dtype: torch.dtype) -> Tensor:
    """`slope` less `less` at the targets, in `dtype`, but subtracted in float32."""
    if not torch.compiler.is_compiling():
        return slope.scatter_add_(1, target, -less).to(dtype)
    return slope.to(dtype).scatter(1, target, (slope.gather(1, target) - less).to(dtype))


def cross_entropy_sum(
    features: Tensor,
    embedding: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    weights: Tensor | None = None,
    softcap: float | None = None,
    config: LossConfig | None = None,
) -> Tensor:
    """Sum of the cross entropies of [N, vocabulary] logits `features @ embedding.T + bias`, in float32.

    `features` [N, width], `embedding` [vocabulary, width], `targets` [N] ids, `weights` [N] (0 for an unused slot).
    `softcap` keeps logits within it as `VocabularyHead` does; `config` says what is added.
    """
    kind = features.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else features.dtype
    if weights is None:
        weights = torch.ones_like(targets, dtype=torch.float32)
    more = config or LossConfig()
    extras = more.label_smoothing, more.z_loss, softcap, dtype, torch.is_grad_enabled()
    total: Tensor = _ChunkedCrossEntropy.apply(features, embedding, bias, targets, weights, *extras)  # type: ignore[no-untyped-call]
    return total
