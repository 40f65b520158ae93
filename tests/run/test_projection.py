"""What many GPUs would need, from formulas: known cases, and what has to hold whatever the model."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkit.errors import ConfigError
from lmkit.run.projection import Model, ddp_bytes, fsdp_bytes, project

SEVEN_BILLION = Model(
    parameters=7_000_000_000,
    layers=32,
    layer_parameters=202_000_000,
    width=4096,
    flops_per_token=6 * 7e9,
)


def test_seven_billion_parameters_need_more_than_one_gpu_holds() -> None:
    found = project(SEVEN_BILLION, world=64, gpu="H100", batch_tokens=4_194_304, micro_tokens=8192)
    assert found["ddp"]["bytes of memory"] > 16 * 7e9
    assert not found["ddp"]["fits"]
    assert found["fsdp"]["fits"]
    assert found["checkpoint bytes"] == 84e9
    assert found["compute seconds a step"] == pytest.approx(42e9 * 65536 / (0.4 * 989e12))
    layers, rest = 32 * 202e6, 7e9 - 32 * 202e6
    sent = 63 / 64 * 4 * (8 * (2 * layers + rest) + 7e9)  # 65,536 tokens of each are eight micro-batches
    assert found["fsdp"]["bytes sent a step"] == pytest.approx(sent)
    assert found["ddp"]["bytes sent a step"] == pytest.approx(63 / 64 * 4 * 2 * 7e9)


@given(st.integers(1, 10**11), st.integers(1, 20_000))
def test_what_is_sent_grows_with_the_processes_to_a_bound(parameters: int, world: int) -> None:
    model = Model(parameters=parameters, layers=1, layer_parameters=parameters, width=1, flops_per_token=1.0)
    assert ddp_bytes(model, 1) == fsdp_bytes(model, 1) == 0
    assert 0 <= ddp_bytes(model, world) < 8 * parameters
    assert ddp_bytes(model, world) <= ddp_bytes(model, world + 1)
    assert fsdp_bytes(model, world) == pytest.approx(1.5 * ddp_bytes(model, world))
    by_muon = attrs.evolve(model, muon_parameters=parameters)
    assert fsdp_bytes(by_muon, world) == pytest.approx(2 * ddp_bytes(model, world))


@given(st.integers(1, 4096))
def test_shares_never_take_more_memory_than_copies_of_a_large_model(world: int) -> None:
    found = project(SEVEN_BILLION, world=world, gpu="a100", batch_tokens=8_000_000, micro_tokens=4096)
    if world > 1:
        assert found["fsdp"]["bytes of memory"] < found["ddp"]["bytes of memory"]
    for way in ("ddp", "fsdp"):
        assert found[way]["seconds a step, travel hidden"] <= found[way]["seconds a step, nothing hidden"]


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(ConfigError, match="expected h100, h200, a100, l40s, got 'h10'"):
        project(SEVEN_BILLION, world=8, gpu="h10", batch_tokens=10_000, micro_tokens=1000)
    with pytest.raises(ConfigError, match="expected 1 to 10,000, one token of a step for each, got 20,000"):
        project(SEVEN_BILLION, world=20_000, gpu="h100", batch_tokens=10_000, micro_tokens=1000)
