"""What "auto" chooses follows from the settings and the machine, never from a clock."""

from __future__ import annotations

import pytest
import torch

from lmkit.engine.device import can_compile, choose, deterministic, micro_batch_tokens, physical_cores
from lmkit.engine.settings import Training


@pytest.mark.parametrize(
    ("batch", "block", "micro"),
    [(8192, 128, 8192), (65536, 128, 16384), (12 * 4096, 4096, 16384), (32768, 32768, 32768)],
)
def test_auto_micro_batches_are_whole_shares_of_the_batch(batch, block, micro):
    settings = Training(steps=1, batch_tokens=batch, block_tokens=block)
    assert micro_batch_tokens(settings, 16384) == micro


def test_what_is_asked_for_is_chosen():
    settings = Training(steps=1, precision="fp32", compile="off", threads=1, micro_batch_tokens=1024)
    chosen = choose(settings, long_run=True)
    assert (chosen.precision, chosen.compile, chosen.threads, chosen.micro_batch_tokens) == ("fp32", False, 1, 1024)


def test_auto_compiles_long_runs_only_where_that_can_work():
    assert not choose(Training(steps=1), long_run=False).compile
    assert choose(Training(steps=1), long_run=True).compile == (
        can_compile(choose(Training(steps=1), long_run=True).device) is None
    )


def test_cores_are_at_least_one():
    assert physical_cores() >= 1


def test_deterministic_kernels_are_asked_for_and_given_back():
    before = torch.are_deterministic_algorithms_enabled()
    with deterministic(True):
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.are_deterministic_algorithms_enabled() == before


@pytest.mark.parametrize(
    ("said", "threads"), [("1", 1), ("3", 3), ("100000", 1024), ("0", None), ("4,2", None), ("", None)]
)
def test_auto_takes_the_threads_that_the_environment_says(monkeypatch, said, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert choose(Training(steps=1), long_run=False).threads == (threads or physical_cores())
    assert choose(Training(steps=1, threads=2), long_run=False).threads == 2
