"""Initial weights of what encoders share."""

import pytest
import torch
from torch import nn

from lmkit.parts.layers import draw_sinusoids


@pytest.mark.parametrize(("count", "width"), [(64, 32), (7, 9), (1, 1), (512, 256)])
def test_sinusoids_have_the_size_asked_for_and_tell_distances(count: int, width: int) -> None:
    embedding = nn.Embedding(count, width)
    draw_sinusoids(embedding, 0.08)
    waves = embedding.weight.detach()
    if width % 2 == 0:
        assert waves.square().mean().sqrt().item() == pytest.approx(0.08, rel=1e-4)
        products = waves @ waves.T  # of two positions: the same wherever they lie, if their distance is
        for distance in range(min(count, 5)):
            diagonal = products.diagonal(distance)
            torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4, rtol=1e-4)
    assert len(waves.unique(dim=0)) == count
    assert embedding.weight.requires_grad
