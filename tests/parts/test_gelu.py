"""GELU by polynomials is GELU, as closely as is said, and its gradient the slope's."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
import torch.nn.functional as F

from lmkit.engine.device import can_compile
from lmkit.parts.gelu import _FITS, _half_plus, gelu


@pytest.mark.parametrize("kind", ["none", "tanh"])
def test_the_polynomials_are_near(kind: Literal["none", "tanh"]) -> None:
    x = torch.linspace(-12, 12, 100_001, dtype=torch.float64, requires_grad=True)
    wanted = F.gelu(x, approximate=kind)
    [slope] = torch.autograd.grad(wanted.sum(), x)
    single = x.detach().float()
    assert (single * _half_plus(single, _FITS[kind].share) - wanted).abs().max() < 6e-5
    assert (_half_plus(single, _FITS[kind].slope) - slope).abs().max() < 3e-4


@pytest.mark.skipif(can_compile("cpu") is not None, reason=str(can_compile("cpu")))
@pytest.mark.parametrize("kind", ["none", "tanh"])
def test_built_kernels_round_to_the_same(kind: Literal["none", "tanh"]) -> None:
    x = torch.linspace(-9, 9, 4096).bfloat16().requires_grad_()
    given = torch.linspace(-1, 1, 4096).bfloat16()
    wanted, built = F.gelu(x, approximate=kind), torch.compile(gelu, dynamic=False)(x, kind)
    torch.testing.assert_close(built, wanted, rtol=2**-7, atol=1e-4)
    [ours] = torch.autograd.grad(built, x, given)
    [theirs] = torch.autograd.grad(wanted, x, given)
    torch.testing.assert_close(ours, theirs, rtol=2**-7, atol=4e-4)
    assert torch.compile(gelu, dynamic=False)(torch.full_like(x, torch.nan), kind).isnan().all()


def test_as_written_it_is_torchs_own() -> None:
    x = torch.linspace(-9, 9, 999).bfloat16()
    assert torch.equal(gelu(x), F.gelu(x))
    assert torch.equal(gelu(x, "tanh"), F.gelu(x, approximate="tanh"))
