"""Heads that objectives put on an encoder, in the style that the encoder asks for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lmkit.batch import Attention
from lmkit.interfaces.encoder import Encoder
from lmkit.parts.layers import ACTIVATIONS, draw_weights

_ATTENTION: dict[str, Attention] = {"token": "bidirectional", "next-token": "causal"}

HEAD_AT_ONCE = 512
"""Positions whose scores of the whole vocabulary are held at once where answers are made."""


class VocabularyHead(nn.Module):
    """Hidden states -> scores of the vocabulary, by the encoder's own token embedding (tied, so not stored here).

    `kind` is its objective's `head_kind`, for tasks that read several and have to know which one they were given.
    """

    def __init__(self, encoder: Encoder, kind: str | None = None) -> None:
        super().__init__()
        self.kind = kind
        style, width = encoder.head_style, encoder.width
        self.activation = ACTIVATIONS[style.activation]
        self.dense = nn.Linear(width, width) if style.transform else None
        self.norm = nn.LayerNorm(width, eps=style.eps) if style.transform else None
        self.bias = nn.Parameter(torch.zeros(encoder.token_embedding.num_embeddings)) if style.bias else None
        draw_weights(self, 0.02)

    @property
    def attention(self) -> Attention | None:
        """How the encoder reads for it; None where it was not told its kind."""
        return _ATTENTION.get(self.kind) if self.kind is not None else None

    def transform(self, hidden: Tensor) -> Tensor:
        """[N, width] what is multiplied with the embedding; the identity where the style has no transform."""
        if self.dense is None or self.norm is None:
            return hidden
        transformed: Tensor = self.norm(self.activation(self.dense(hidden)))
        return transformed

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        """Logits [N, vocabulary] of `hidden` [N, width]."""
        return nn.functional.linear(self.transform(hidden), embedding, self.bias)
