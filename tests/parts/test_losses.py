import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmkit.engine.device import can_compile
from lmkit.parts import losses
from lmkit.parts.losses import CHUNK, LossConfig, cross_entropy_sum


def drawn(count: int, *, seed: int = 0, width: int = 12, vocabulary: int = 31) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "features": torch.randn(count, width, generator=generator).requires_grad_(),
        "embedding": torch.randn(vocabulary, width, generator=generator).requires_grad_(),
        "bias": torch.randn(vocabulary, generator=generator).requires_grad_(),
        "targets": torch.randint(vocabulary, (count,), generator=generator),
        "weights": torch.rand(count, generator=generator).round(decimals=1),
    }


def by_definition(features: Tensor, embedding: Tensor, targets: Tensor, bias: Tensor | None, weights: Tensor) -> Tensor:
    logits = features.double() @ embedding.double().t()
    if bias is not None:
        logits = logits + bias.double()
    return (F.cross_entropy(logits, targets, reduction="none") * weights.double()).sum()


@given(st.integers(1, 40), st.integers(1, 16), st.booleans(), st.booleans(), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_sum_and_gradients_are_those_of_cross_entropy(
    count: int, chunk: int, has_bias: bool, has_weights: bool, seed: int
) -> None:
    """Whatever the borders of the chunks, against double precision."""
    given = drawn(count, seed=seed)
    bias = given["bias"] if has_bias else None
    weights = given["weights"] if has_weights else torch.ones(count)
    wanted_of = [given["features"], given["embedding"], *([] if bias is None else [bias])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "CHUNK", chunk)
        total = cross_entropy_sum(
            given["features"], given["embedding"], given["targets"], bias=bias, weights=weights if has_weights else None
        )
    wanted = by_definition(given["features"], given["embedding"], given["targets"], bias, weights)
    assert total.dtype == torch.float32
    torch.testing.assert_close(total.double(), wanted, rtol=1e-5, atol=1e-5)
    scale = 0.37  # what the engine divides by comes after
    ours = torch.autograd.grad(total * scale, wanted_of)
    theirs = torch.autograd.grad(wanted * scale, wanted_of)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@given(
    st.integers(1, 9),
    st.sampled_from([0.0, 0.1, 0.9]),
    st.sampled_from([0.0, 1e-2]),
    st.sampled_from([None, 0.7, 30.0]),
    st.integers(0, 9),
)
@settings(max_examples=40, deadline=None)
def test_what_is_added_is_by_definition(
    count: int, smoothing: float, z_loss: float, softcap: float | None, seed: int
) -> None:
    """Label smoothing is torch's own, z-loss the squared log-normalizer, the cap a scaled tanh."""
    given = drawn(count, seed=seed)
    config = LossConfig(label_smoothing=smoothing, z_loss=z_loss)
    total = cross_entropy_sum(**given, softcap=softcap, config=config)
    logits = given["features"].double() @ given["embedding"].double().t() + given["bias"].double()
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    each = F.cross_entropy(logits, given["targets"], reduction="none", label_smoothing=smoothing)
    wanted = ((each + z_loss * logits.logsumexp(-1).square()) * given["weights"].double()).sum()
    torch.testing.assert_close(total.double(), wanted, rtol=1e-5, atol=1e-5)
    wanted_of = [given[name] for name in ("features", "embedding", "bias")]
    ours, theirs = torch.autograd.grad(total, wanted_of), torch.autograd.grad(wanted, wanted_of)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_more_positions_than_a_chunk_holds() -> None:
    given = drawn(2 * CHUNK + 3)
    total = cross_entropy_sum(**given)
    wanted = by_definition(**given)
    torch.testing.assert_close(total.double(), wanted, rtol=1e-5, atol=0)
    for name in ("features", "embedding", "bias"):
        one, other = (torch.autograd.grad(value, given[name], retain_graph=True)[0] for value in (total, wanted))
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_an_unused_slot_adds_nothing_whatever_stands_in_it() -> None:
    given = drawn(6)
    weights = torch.tensor([1.0, 0, 1, 0, 0, 1])
    total = cross_entropy_sum(**{**given, "weights": weights})
    (slope,) = torch.autograd.grad(total, given["features"])
    used = {name: given[name][weights > 0] for name in ("features", "targets")}
    alone = cross_entropy_sum(**used, embedding=given["embedding"], bias=given["bias"])
    torch.testing.assert_close(total, alone)
    assert not slope[weights == 0].any()
    assert slope[weights > 0].all()


def test_no_positions_give_zero_and_zero_gradients() -> None:
    given = drawn(0)
    total = cross_entropy_sum(**given)
    total.backward()
    assert total.item() == 0
    assert given["embedding"].grad is not None
    assert not given["embedding"].grad.any()


def test_without_gradients_only_the_sum_is_made() -> None:
    given = drawn(5)
    with torch.no_grad():
        total = cross_entropy_sum(**given)
    assert not total.requires_grad
    torch.testing.assert_close(total.double(), by_definition(**given).detach(), rtol=1e-5, atol=0)


def test_a_frozen_embedding_gets_no_gradient() -> None:
    given = drawn(5)
    given["embedding"].requires_grad_(False)
    total = cross_entropy_sum(**given)
    total.backward()
    assert given["embedding"].grad is None
    torch.testing.assert_close(
        given["features"].grad,
        torch.autograd.grad(by_definition(**given), given["features"])[0],
        rtol=1e-4,
        atol=1e-5,
    )


def test_half_precision_sums_in_float32() -> None:
    """In autocast the products are bfloat16, sum and softmax are not."""
    given = drawn(3 * CHUNK)
    with torch.autocast("cpu", torch.bfloat16):
        total = cross_entropy_sum(**given)
    total.backward()
    assert total.dtype == torch.float32
    assert given["embedding"].grad is not None
    assert given["embedding"].grad.dtype == torch.float32
    wanted = by_definition(**given)
    torch.testing.assert_close(total.double(), wanted.detach(), rtol=2e-3, atol=0)
    (other,) = torch.autograd.grad(wanted, given["embedding"])
    assert torch.cosine_similarity(given["embedding"].grad.flatten(), other.flatten().float(), dim=0) > 0.999


@pytest.mark.skipif(can_compile("cpu") is not None, reason=str(can_compile("cpu")))
@pytest.mark.parametrize("config", [None, LossConfig(label_smoothing=0.1, z_loss=1e-2)], ids=["plain", "more"])
@pytest.mark.parametrize("softcap", [None, 0.7])
def test_built_kernels_compute_the_same(config: LossConfig | None, softcap: float | None) -> None:
    """They are in other terms: of powers, and of slopes from which the targets are taken last."""
    given = drawn(CHUNK + 40)
    named = ("features", "embedding", "bias")

    def summed() -> Tensor:
        return cross_entropy_sum(**given, softcap=softcap, config=config)

    wanted, found = summed(), torch.compile(summed, dynamic=False)()
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    ours = torch.autograd.grad(found, [given[name] for name in named])
    theirs = torch.autograd.grad(wanted, [given[name] for name in named])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
