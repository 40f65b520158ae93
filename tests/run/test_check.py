"""What check counts, and what it tries: learning rates, micro-batches, and whether one batch can be learned."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import lmkit
from lmkit.engine.device import choose
from lmkit.engine.work import count_flops
from lmkit.recipe import read_pretraining
from lmkit.run.pretrain import trainee_of
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


@pytest.mark.parametrize("kind", ["mlm", "clm"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_work_is_counted_as_torch_counts_it(book: Path, kind: str, precision: str) -> None:
    read = read_pretraining(recipe(kind, book, precision=precision))
    trainee = trainee_of(read)
    batch = trainee.model.objective.collate(trainee.source.examples(0, 4), progress=0.0)
    choices = choose(read.train, long_run=False)
    assert choices.precision == precision
    with torch.no_grad(), choices.autocast(), FlopCounterMode(display=False) as counter:
        trainee.model(batch)
    assert counter.get_total_flops() > 0
    assert count_flops(trainee.model, batch, choices) == counter.get_total_flops()


@pytest.mark.parametrize("price", [-1.0, math.nan, math.inf, 1e308])
def test_a_price_that_is_none_is_refused(book: Path, price: float) -> None:
    with pytest.raises(lmkit.ConfigError, match="expected 0 to 1,000,000 an hour, got "):
        lmkit.check(recipe("clm", book), price=price)
