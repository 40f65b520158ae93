"""What check tries beyond two steps: learning rates, micro-batches, and whether one batch can be learned."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import lmkit
from tests.run.recipes import recipe


def test_learning_rates_and_micro_batches_are_tried_and_told(book: Path) -> None:
    tables = recipe("clm", book, batch_tokens=256, block_tokens=32)
    heard: list[str] = []
    found = lmkit.check(tables, tune=True, tell=heard.append)["tuning"]
    losses, speeds = found["loss after 40 steps at"], found["tokens a second by train.micro_batch_tokens"]
    assert [name.split(" times: ")[0] for name in losses] == ["0.1", "0.3", "1", "3", "10"]
    assert all(math.isfinite(loss) for loss in losses.values())
    assert [losses[name] for name in losses if name.startswith("1 t")] < [losses[next(iter(losses))]]  # 0.1 is too low
    assert list(speeds) == ["32", "64", "128", "256"]
    assert all(speed > 0 for speed in speeds.values())
    assert len(heard) == len(losses) + len(speeds)
    first = next(iter(losses))
    assert heard[0] == f"loss {losses[first]:.4g} after 40 steps at {first.partition(': ')[2]}"
    assert found["advice"][0].startswith(("no other learning rate is better", "after 40 steps the loss is lowest"))


@pytest.mark.parametrize(("rate", "verdict"), [(0.01, "one batch can be learned"), (1e-9, "one batch was not learned")])
def test_one_batch_is_learned_or_it_is_told(book: Path, rate: float, verdict: str) -> None:
    tables = recipe("mlm", book, learning_rate=rate, matrix_learning_rate=rate)
    heard: list[str] = []
    found = lmkit.check(tables, overfit=True, tell=heard.append)["overfit"]
    assert heard == ["one batch, 60 times"]
    assert found["verdict"].startswith(verdict)
    assert (found["last_loss"] < found["first_loss"] / 2) == (rate == 0.01)
