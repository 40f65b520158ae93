from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lmkit.batch import Packed
from lmkit.interfaces import Encoder, HeadStyle, Vocabulary
from lmkit.parts.heads import VocabularyHead
from lmkit.parts.layers import ACTIVATIONS, draw_weights
from lmkit.parts.losses import LossConfig

VOCABULARY = Vocabulary(size=11, special={"pad": 0}, word_starts=np.ones(11, bool))


class Lookup(Encoder):
    """An embedding and nothing else, with heads of any style."""

    name = "lookup"

    def __init__(self, config: Any, vocabulary: Vocabulary, style: HeadStyle | None = None) -> None:
        super().__init__(config, vocabulary)
        self.width = 6
        self.token_embedding = nn.Embedding(vocabulary.size, 6)
        self.style = style

    def forward(self, inputs: Packed) -> Tensor:
        states: Tensor = self.token_embedding(inputs.tokens)
        return states

    @property
    def head_style(self) -> HeadStyle:
        return self.style or super().head_style


def test_a_plain_head_is_the_embedding_and_stores_nothing() -> None:
    encoder = Lookup(None, VOCABULARY)
    head = VocabularyHead(encoder)
    hidden, embedding = torch.randn(4, 6), encoder.token_embedding.weight
    assert not head.state_dict()
    assert head.transform(hidden) is hidden
    torch.testing.assert_close(head(hidden, embedding), hidden @ embedding.t())


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "relu", "relu2", "silu", "tanh"])
def test_a_head_has_what_its_encoder_asks_for(activation: str) -> None:
    encoder = Lookup(None, VOCABULARY, HeadStyle(transform=True, activation=activation, eps=1e-12, bias=True))
    head = VocabularyHead(encoder)
    assert set(head.state_dict()) == {"dense.weight", "dense.bias", "norm.weight", "norm.bias", "bias"}
    assert head.dense is not None
    assert head.norm is not None
    assert head.norm.eps == 1e-12
    hidden, embedding = torch.randn(4, 6), encoder.token_embedding.weight
    with torch.no_grad():
        head.get_parameter("bias").copy_(torch.arange(11.0))
    wanted = head.norm(ACTIVATIONS[activation](head.dense(hidden)))
    torch.testing.assert_close(head.transform(hidden), wanted)
    torch.testing.assert_close(head(hidden, embedding), wanted @ embedding.t() + torch.arange(11.0))


def test_activations_are_those_of_their_names() -> None:
    x = torch.tensor([-1.0, 0.5, 2.0])
    assert ACTIVATIONS["relu2"](x).tolist() == [0, 0.25, 4]
    assert ACTIVATIONS["gelu"](x).tolist() == pytest.approx([-0.158655, 0.345731, 1.954500], abs=1e-6)
    assert ACTIVATIONS["gelu_tanh"](x).tolist() == pytest.approx([-0.158808, 0.345714, 1.954598], abs=1e-6)


def test_matrices_are_drawn_biases_zeroed_and_norms_left() -> None:
    module = nn.Sequential(nn.Linear(80, 80), nn.LayerNorm(80), nn.Embedding(80, 80))
    draw_weights(module, 0.05)
    weights = dict(module.named_parameters())
    for name in ("0.weight", "2.weight"):
        assert weights[name].std().item() == pytest.approx(0.05, rel=0.05)
    assert not weights["0.bias"].any()
    assert (weights["1.weight"] == 1).all()


def test_scores_are_capped_alike_in_use_and_in_the_loss() -> None:
    encoder = Lookup(None, VOCABULARY, HeadStyle(bias=True, softcap=2.0))
    head = VocabularyHead(encoder, "token")
    hidden, embedding = 5 * torch.randn(4, 6), encoder.token_embedding.weight
    targets, weights = torch.tensor([3, 0, 7, 10]), torch.tensor([1.0, 0.0, 1.0, 1.0])
    scores = head(hidden, embedding)
    plain = hidden @ embedding.t() + head.bias
    torch.testing.assert_close(scores, 2 * torch.tanh(plain / 2))
    wanted = (nn.functional.cross_entropy(scores, targets, reduction="none") * weights).sum()
    torch.testing.assert_close(head.loss_sum(hidden, embedding, targets, weights, LossConfig()), wanted)


def test_a_transform_may_have_no_biases() -> None:
    encoder = Lookup(None, VOCABULARY, HeadStyle(transform=True, transform_bias=False))
    assert set(VocabularyHead(encoder).state_dict()) == {"dense.weight", "norm.weight"}
