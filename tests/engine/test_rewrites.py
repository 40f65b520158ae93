"""Rewrites of a compiled step: each is made, and nothing that is computed changes by more than rounding."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmkit.engine.device import can_compile
from lmkit.engine.rewrites import Rewrites

pytestmark = pytest.mark.skipif(can_compile("cpu") is not None, reason=str(can_compile("cpu")))
ROWS, WIDTH = 256, 64


class Model(nn.Module):
    """One of each: an embedding, a norm, products with a bias, GELU by tanh."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table = nn.Embedding(50, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.inner, self.outer = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, ids: Tensor) -> Tensor:
        picked = torch.arange(-len(ids), len(ids), 3) // 2  # some twice, some counted from the end
        hidden = self.outer(F.gelu(self.inner(self.norm(self.table(ids))), approximate="tanh"))[picked]
        weights = torch.linspace(0.1, 1, len(picked))[:, None]  # else equal tokens would have equal gradients
        return (hidden.float().square() * weights).sum()


class Seen(Rewrites):
    """Counts the operations of the graph before and after."""

    def __init__(self) -> None:
        self.before: Counter[Any] = Counter()
        self.after: Counter[Any] = Counter()

    def __call__(self, graph: torch.fx.Graph) -> None:
        self.before += Counter(node.target for node in graph.nodes)
        super().__call__(graph)
        self.after += Counter(node.target for node in graph.nodes)

    def uuid(self) -> None:  # not kept: the graph has to be seen
        return None


def gradients(model: nn.Module, run: Any, ids: Tensor, *, half: bool) -> dict[str, Tensor]:
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        run(ids).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


@pytest.mark.parametrize("half", [True, False], ids=["bf16", "fp32"])
def test_every_rewrite_is_made_and_the_gradients_stay(half: bool) -> None:
    model, seen, ids = Model(), Seen(), torch.randint(0, 50, (ROWS,), generator=torch.Generator().manual_seed(2))
    wanted = gradients(model, model, ids, half=half)
    torch.compiler.reset()
    built = torch.compile(model, dynamic=False, options={"joint_custom_pre_pass": seen})
    found = gradients(model, built, ids, half=half)
    aten = torch.ops.aten
    assert seen.before[aten.addmm.default] == 2
    assert seen.after[aten.addmm.default] == (0 if half else 2), "fp32 products take their bias with them"
    gone = [aten._unsafe_masked_index_put_accumulate.default, aten.index_put.default, aten.tanh.default]
    assert all(seen.before[target] and not seen.after[target] for target in gone)
    assert seen.after[aten.scatter_add.default] == 2
    over_tokens = 4  # two biases, and the weight and bias of the norm
    assert seen.after[aten.sum.dim_IntList] == seen.before[aten.sum.dim_IntList] + over_tokens
    for name, gradient in found.items():
        off = (gradient - wanted[name]).norm() / wanted[name].norm()
        assert off < (0.02 if half else 1e-5), name


def test_two_runs_of_a_compiled_step_give_the_same_bits() -> None:
    """Many tokens on few rows of a table, on two threads: atomic additions would come in another order each time."""
    model, threads = Model(), torch.get_num_threads()
    ids = torch.randint(0, 3, (8192,), generator=torch.Generator().manual_seed(3))
    torch.compiler.reset()
    torch.set_num_threads(2)
    try:
        built = torch.compile(model, dynamic=False, options={"joint_custom_pre_pass": Rewrites()})
        first = gradients(model, built, ids, half=True)
        for _ in range(5):
            again = gradients(model, built, ids, half=True)
            assert all(torch.equal(first[name], again[name]) for name in first)
    finally:
        torch.set_num_threads(threads)
