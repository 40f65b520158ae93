"""What ELECTRA puts on an encoder: a generator that fills masks in, and a score for "replaced"."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lmkit.batch import Attention
from lmkit.interfaces import Encoder, Vocabulary
from lmkit.parts.layers import ACTIVATIONS, draw_weights
from lmkit.parts.losses import LossConfig, cross_entropy_sum
from lmkit.parts.scored import ScoredBatch

AT_ONCE = 512
"""Positions whose probabilities of the whole vocabulary are held at once."""


class ElectraHead(nn.Module):
    """The generator with its head, and the discriminator's (Clark et al. 2020, sections 2 and 3.2).

    Both networks have the encoder's token embedding; the generator reads it through a projection to its own width.
    Tasks that read states alone ask for `attention`.
    """

    def __init__(self, encoder: Encoder, smaller: Any, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.attention: Attention = "bidirectional"
        activation = encoder.head_style.activation
        self.activation = ACTIVATIONS[activation]
        self.generator = type(encoder)(smaller, vocabulary)
        narrow, width = self.generator.width, encoder.width
        self.generator.set_submodule("token_embedding", Projected(encoder.token_embedding, narrow))
        if self.generator.pooler is not None:
            for parameter in self.generator.pooler.parameters():
                parameter.requires_grad_(False)  # nothing pools the generator's states
        self.generator_dense = nn.Linear(narrow, width)
        self.generator_norm = nn.LayerNorm(width)
        self.generator_bias = nn.Parameter(torch.zeros(vocabulary.size))
        self.dense = nn.Linear(width, width)
        self.out = nn.Linear(width, 1)
        for fresh in (self.generator_dense, self.dense, self.out):
            draw_weights(fresh, 0.02)

    def generator_features(self, hidden: Tensor) -> Tensor:
        """[N, width] what is multiplied with the embedding, of [N, narrow] states of the generator."""
        normed: Tensor = self.generator_norm(self.activation(self.generator_dense(hidden)))
        return normed

    def generator_loss(self, hidden: Tensor, embedding: Tensor, batch: ScoredBatch, config: LossConfig) -> Tensor:
        """The sum of the generator's cross entropies."""
        features = self.generator_features(hidden)
        return cross_entropy_sum(
            features, embedding, batch.targets, bias=self.generator_bias, weights=batch.weights, config=config
        )

    def discriminate(self, hidden: Tensor) -> Tensor:
        """[T] how surely each token was replaced: the logit of its probability."""
        scores: Tensor = self.out(self.activation(self.dense(hidden)))
        return scores[:, 0]


class Projected(nn.Module):
    """Another module's embedding through a matrix of its own; the embedding itself stays where it is."""

    def __init__(self, shared: nn.Embedding, width: int) -> None:
        super().__init__()
        self._shared = (shared,)  # in a tuple, so that it is not this module's own
        self.projection = nn.Linear(shared.embedding_dim, width, bias=False)
        draw_weights(self.projection, shared.embedding_dim**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        projected: Tensor = self.projection(self._shared[0](tokens))
        return projected


def inverse_cdf(features: Tensor, embedding: Tensor, bias: Tensor, uniforms: Tensor) -> Tensor:
    """[N] ids, each drawn from the softmax of its row's logits by its own number of `uniforms` [N] in [0, 1)."""
    drawn = []
    for some, numbers in zip(torch.split(features, AT_ONCE), torch.split(uniforms, AT_ONCE), strict=True):
        cumulative = (some @ embedding.t() + bias).float().softmax(-1).cumsum(-1)
        chosen = torch.searchsorted(cumulative, numbers[:, None] * cumulative[:, -1:], right=True)[:, 0]
        drawn.append(chosen.clamp(max=embedding.shape[0] - 1))
    return torch.cat(drawn) if drawn else uniforms.new_zeros(0, dtype=torch.int64)
