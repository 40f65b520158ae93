"""Heads that objectives put on an encoder, in the style that the encoder asks for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lmkit.batch import Attention
from lmkit.interfaces.encoder import Encoder
from lmkit.parts.layers import ACTIVATIONS, draw_weights
from lmkit.parts.losses import LossConfig, cross_entropy_sum

_ATTENTION: dict[str, Attention] = {
    "token": "bidirectional",
    "next-token": "causal",
    "masked-next-token": "causal",
}

HEAD_AT_ONCE = 512
"""Positions whose scores of the whole vocabulary are held at once where answers are made."""


class Transform(nn.Module):
    """A dense layer, activation and norm of hidden states before their scores; where not `wanted`, the identity."""

    def __init__(self, encoder: Encoder, *, wanted: bool) -> None:
        super().__init__()
        style, width = encoder.head_style, encoder.width
        self.activation = ACTIVATIONS[style.activation]
        biased = style.transform_bias
        self.dense = nn.Linear(width, width, bias=biased) if wanted else None
        self.norm = nn.LayerNorm(width, eps=style.eps, bias=biased) if wanted else None

    def transform(self, hidden: Tensor) -> Tensor:
        """[N, width] -> [N, width]."""
        if self.dense is None or self.norm is None:
            return hidden
        transformed: Tensor = self.norm(self.activation(self.dense(hidden)))
        return transformed


class VocabularyHead(Transform):
    """Hidden states -> scores of the vocabulary, by the encoder's own token embedding (tied, so not stored here).

    Where the encoder's `head_style` is not tied it has a matrix `weight` of its own, and leaves the embedding alone.

    `kind` is its objective's `head_kind`, for tasks that read several and have to know which one they were given:
    "token", "next-token", or "masked-next-token", whose masked tokens too are predicted from the position before.
    `attention` is how the encoder reads for it, by default as the kind has it; "mixed": prompts are seen whole.
    """

    def __init__(self, encoder: Encoder, kind: str | None = None, *, attention: Attention | None = None) -> None:
        style = encoder.head_style
        super().__init__(encoder, wanted=style.transform)
        self.kind = kind
        self.attention = attention or _ATTENTION.get(kind or "")
        size = encoder.token_embedding.num_embeddings
        self.bias = nn.Parameter(torch.zeros(size)) if style.bias else None
        self.weight = None if style.tied else nn.Parameter(torch.empty(size, encoder.width))
        self.softcap, self.scale = style.softcap, style.scale
        draw_weights(self, 0.02)
        if self.weight is not None:
            nn.init.normal_(self.weight, std=0.02)

    @property
    def shift(self) -> int:
        """How many positions before a masked token it is predicted."""
        return int(self.kind == "masked-next-token")

    def transform(self, hidden: Tensor) -> Tensor:
        """[N, width] what is multiplied with the embedding."""
        transformed = super().transform(hidden)
        return transformed if self.scale == 1 else transformed * self.scale

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        """Logits [N, vocabulary] of `hidden` [N, width]."""
        logits = nn.functional.linear(self.transform(hidden), self._matrix(embedding), self.bias)
        return logits if self.softcap is None else torch.tanh(logits.float() / self.softcap) * self.softcap

    def _matrix(self, embedding: Tensor) -> Tensor:
        return embedding if self.weight is None else self.weight

    def loss_sum(
        self, hidden: Tensor, embedding: Tensor, targets: Tensor, weights: Tensor, config: LossConfig
    ) -> Tensor:
        """Sum of the cross entropies of `hidden` [N, width] with `targets` [N], by `weights` [N]; keeps no logits."""
        return cross_entropy_sum(
            self.transform(hidden),
            self._matrix(embedding),
            targets,
            bias=self.bias,
            weights=weights,
            softcap=self.softcap,
            config=config,
        )
