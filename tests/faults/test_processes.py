"""Several processes: one is killed, one hangs, the network between two hosts is cut."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import lmkit
from tests.faults.conftest import Cases

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

RECIPE = """
[tokenizer]
use = "bpe"
vocab_size = 300
[data]
train = ["text.txt"]
document = "line"
[encoder]
use = "qwen3"
layers = 2
width = 64
[objective]
use = "clm"
[train]
steps = 300
block_tokens = 32
batch_tokens = 256
threads = 1
precision = "fp32"
compile = "off"
parallel = "ddp"
collective_minutes = 0.2
[checkpoint]
every_steps = 10
"""
LIMIT = 12.0
"""Seconds: train.collective_minutes above."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    text = "".join(f"Robin Hood in greenwood stood, and {n} of his men were with him.\n" for n in range(400))
    (tmp_path / "text.txt").write_text(text)
    (tmp_path / "run.toml").write_text(RECIPE)
    return tmp_path


def torchrun(place: Path, run: str, restarts: int) -> subprocess.Popen[str]:
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", str(restarts)]
    command = [sys.executable, "-m", *launch, "-m", "lmkit", "--", "pretrain", "run.toml", "--run", run]
    return subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def wait_for_step(process: subprocess.Popen[str], least: int, *, again: bool = False) -> None:
    """Until the process, or the one of its children that speaks, has told a step so late; `again`: after a resume."""
    assert process.stderr is not None
    for line in process.stderr:
        again = again and not line.startswith("goes on from ")
        if not again and line.startswith("step ") and int(line.split()[1].partition("/")[0]) >= least:
            return
    pytest.fail("it ended before")


def test_torchrun_starts_a_killed_process_again_and_the_run_goes_on(
    place: Path, cases: Cases, measured: Callable[[str, object], None]
) -> None:
    with torchrun(place, "whole", 0) as process:
        process.communicate()
    whole = lmkit.load(place / "whole").module.state_dict()
    slowest = 0.0
    for number in range(cases(2, 20, 100)):
        with torchrun(place, f"run-{number}", 1) as process:
            wait_for_step(process, 20)
            found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
            begun = time.monotonic()
            os.kill(int(found.stdout.split()[number % 2]), signal.SIGKILL)
            wait_for_step(process, 1, again=True)
            slowest = max(slowest, time.monotonic() - begun)
            process.communicate()
            assert process.returncode == 0
        there = lmkit.load(place / f"run-{number}").module.state_dict()
        assert all(torch.equal(there[name], whole[name]) for name in whole)
    measured("seconds until it went on, at most", round(slowest, 1))


def by_hand(place: Path, address: str, *before: tuple[str, ...]) -> list[subprocess.Popen[str]]:
    """Two processes that nobody watches over, each behind the words that start it in its place."""
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    ports = {"MASTER_ADDR": address, "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    command = [sys.executable, "-m", "lmkit", "pretrain", "run.toml", "--run", "run", "--set", "train.steps=1000000"]
    return [
        subprocess.Popen(
            [*words, *command],
            cwd=place,
            env={**os.environ, **ports, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for rank, words in enumerate(before or ((), ()))
    ]


@pytest.mark.parametrize("stopped", [0, 1])
def test_a_process_that_hangs_is_told_within_the_limit(place: Path, stopped: int) -> None:
    both = by_hand(place, "127.0.0.1")
    try:
        wait_for_step(both[0], 20)
        both[stopped].send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        other = both[1 - stopped]
        _, said = other.communicate(timeout=2 * LIMIT + 30)
        assert time.monotonic() - begun < 2 * LIMIT + 10
        assert other.returncode == 1
        assert f"error: process {1 - stopped} of 2 lost the others" in said
    finally:
        for process in both:
            process.kill()
            process.communicate()
    assert lmkit.resume(place / "run", overrides=["train.steps=20", "train.parallel=none"], quiet=True).step >= 20


@pytest.fixture
def hosts() -> Iterator[tuple[str, str]]:
    """Two hosts as the kernel makes them, with a wire between: 10.77.0.1 and 10.77.0.2."""
    names = ("lmkit-one", "lmkit-two")
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("two network namespaces take root and iproute2")
    commands = [
        *(f"ip netns add {name}" for name in names),
        f"ip link add wire-1 netns {names[0]} type veth peer name wire-2 netns {names[1]}",
        *(f"ip -n {name} addr add 10.77.0.{n}/24 dev wire-{n}" for n, name in enumerate(names, 1)),
        *(f"ip -n {name} link set wire-{n} up" for n, name in enumerate(names, 1)),
        *(f"ip -n {name} link set lo up" for name in names),
    ]
    try:
        for command in commands:
            if subprocess.run(command.split(), capture_output=True, check=False).returncode:
                pytest.skip(f"not possible here: {command}")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def test_a_cut_wire_between_two_hosts_ends_both_within_the_limit(
    place: Path, hosts: tuple[str, str], measured: Callable[[str, object], None]
) -> None:
    before = [("ip", "netns", "exec", name, "env", f"GLOO_SOCKET_IFNAME=wire-{n}") for n, name in enumerate(hosts, 1)]
    both = by_hand(place, "10.77.0.1", *before)
    try:
        wait_for_step(both[0], 20)
        subprocess.run(["ip", "-n", hosts[0], "link", "set", "wire-1", "down"], check=True)
        begun = time.monotonic()
        for rank, process in enumerate(both):
            _, said = process.communicate(timeout=60)
            assert process.returncode == 1
            assert f"error: process {rank} of 2 lost the others" in said
        measured("seconds until both had ended", round(time.monotonic() - begun, 1))
    finally:
        for process in both:
            process.kill()
            process.communicate()
    assert lmkit.resume(place / "run", overrides=["train.steps=20", "train.parallel=none"], quiet=True).step >= 20
