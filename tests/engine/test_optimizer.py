"""The optimizer beside torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lmkit.engine.muon import Muon, orthogonalize
from lmkit.engine.optimizer import Optimizer
from lmkit.engine.settings import Training


def _matrices() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    shapes = [(16, 16), (16, 16), (32, 16), (16, 64)]
    return [nn.Parameter(torch.randn(*shape, generator=generator)) for shape in shapes]


def test_muon_is_torchs_muon_on_plain_matrices():
    mine, theirs = _matrices(), _matrices()
    ours = Muon(mine, [1] * 4, [1.0] * 4, learning_rate=0.02, momentum=0.95, weight_decay=0.1, dtype=torch.bfloat16)
    reference = torch.optim.Muon(theirs, lr=0.02, momentum=0.95, weight_decay=0.1, nesterov=True)
    for step in range(4):
        for number, (one, other) in enumerate(zip(mine, theirs, strict=True)):
            generator = torch.Generator().manual_seed(10 * step + number)
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        ours.step(1.0)
        reference.step()
    for one, other in zip(mine, theirs, strict=True):
        assert (one - other).abs().max() < 0.01 * (0.02 * 4)  # bf16 rounding in another order, of four steps of 0.02


def test_orthogonal_updates_have_singular_values_near_one():
    matrices = torch.randn(3, 24, 40, generator=torch.Generator().manual_seed(2))
    values = torch.linalg.svdvals(orthogonalize(matrices, torch.float32))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_a_stack_of_three_is_orthogonalized_as_three():
    gradient = torch.randn(48, 16, generator=torch.Generator().manual_seed(3))
    stacked = nn.Parameter(torch.zeros(48, 16))
    stacked.grad = gradient.clone()
    alone = [nn.Parameter(torch.zeros(16, 16)) for _ in range(3)]
    for parameter, part in zip(alone, gradient.chunk(3), strict=True):
        parameter.grad = part.clone()
    settings = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.0, "dtype": torch.float32}
    Muon([stacked], [3], [1.0], **settings).step(1.0)
    Muon(alone, [1, 1, 1], [1.0] * 3, **settings).step(1.0)
    assert torch.allclose(stacked.detach(), torch.cat([p.detach() for p in alone]), atol=1e-6)


def test_adamw_is_torchs_adamw_to_the_bit():
    def model():
        torch.manual_seed(5)
        return nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4))

    mine, theirs = model(), model()
    roles = {n: "embedding" if p.ndim == 2 else "scalar" for n, p in mine.named_parameters()}
    settings = Training(steps=1, learning_rate=0.01, weight_decay=0.1, beta2=0.98)
    ours = Optimizer(mine, roles, settings, matrix_dtype=torch.float32)
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim == 2], "weight_decay": 0.1},
        {"params": [p for p in theirs.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups, lr=0.01, betas=(settings.beta1, 0.98), fused=True)
    for step in range(5):
        for one in (mine, theirs):
            one.zero_grad()
            part = one[0] if step == 2 else one  # a step in which some parameters have no gradient
            part(torch.full((2, 8), step + 1.0)).square().sum().backward()
        ours.step(1.0)
        reference.step()
    for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)
    for name, parameter in theirs.named_parameters():
        for what, value in reference.state[parameter].items():
            assert torch.equal(ours.state()[f"{name}.{what}"], value), (name, what)


def test_roles_decide_who_trains_what_and_what_decays():
    model = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))
    roles = {"0.weight": "hidden", "0.bias": "scalar", "1.weight": "scalar", "1.bias": "scalar"}
    settings = Training(steps=1, learning_rate=0.1, matrix_learning_rate=0.1, weight_decay=0.5)
    optimizer = Optimizer(model, roles, settings, matrix_dtype=torch.float32)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(1.0)
    after = dict(model.named_parameters())
    assert torch.allclose(after["0.weight"], before["0.weight"] * 0.95)
    assert all(torch.equal(after[n], before[n]) for n in ("0.bias", "1.weight", "1.bias"))
    assert set(optimizer.state()) == {"0.weight.momentum"} | {
        f"{n}.{what}" for n in ("0.bias", "1.weight", "1.bias") for what in ("step", "exp_avg", "exp_avg_sq")
    }


def test_a_state_that_lacks_a_tensor_is_refused_by_name():
    model = nn.Linear(4, 4)
    roles = {"weight": "hidden", "bias": "scalar"}
    optimizer = Optimizer(model, roles, Training(steps=1), matrix_dtype=torch.float32)
    with pytest.raises(KeyError, match=r"weight\.momentum"):
        optimizer.load({})


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_parameter_learns_at_its_share_of_the_rate(optimizer):
    def moved(scales):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
        roles = {n: "hidden" if p.ndim == 2 else "scalar" for n, p in model.named_parameters()}
        settings = Training(steps=1, optimizer=optimizer, weight_decay=0.0)
        before = {n: p.detach().clone() for n, p in model.named_parameters()}
        made = Optimizer(model, roles, settings, scales=scales, matrix_dtype=torch.float32)
        model(torch.ones(4, 8)).square().sum().backward()
        made.step(1.0)
        return {n: p.detach() - before[n] for n, p in model.named_parameters()}

    whole, scaled = moved({}), moved({"0.weight": 0.5, "0.bias": 0.25})
    for name, share in {"0.weight": 0.5, "0.bias": 0.25, "1.weight": 1.0, "1.bias": 1.0}.items():
        torch.testing.assert_close(scaled[name], share * whole[name], rtol=1e-4, atol=1e-7)
