"""Kills savers, each a fork of this warm process, at random moments; prints what was found afterwards as JSON.

python kill_savers.py RUN KILLS SEED
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from lmkit.checkpoint import RunLock, newest, save


def tensors_of(step: int) -> dict[str, dict[str, torch.Tensor]]:
    return {"model": {"w": torch.full((20_000,), float(step))}, "optimizer": {"m": torch.full((40_000,), -float(step))}}


def write(run: Path, step: int) -> None:
    folders = {"tokenizer": lambda folder: (folder / "vocabulary.txt").write_text("a\nb\n") and None}
    save(run, step, tensors=tensors_of(step), state={"step": step}, components=[], folders=folders, keep=2)


def train(run: Path, told: int) -> None:
    """Save step after step, telling each that is saved, until killed."""
    with RunLock(run):
        found = newest(run, warn=sys.exit)
        step = found.step if found else 0
        while True:
            step += 1
            write(run, step)
            os.write(told, b"%d\n" % step)


def kill_one(run: Path, wait: float) -> int:
    """Start a saver, kill it after `wait` seconds; the last step that it said was saved, or 0."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.close(reads)
        try:
            train(run, writes)
        finally:
            os._exit(1)
    os.close(writes)
    time.sleep(wait)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the saver ended by itself: {status}"
    with os.fdopen(reads) as told:
        steps = told.read().split()
    return int(steps[-1]) if steps else 0


def main(run: Path, kills: int, seed: int) -> dict[str, int]:
    draw, result = random.Random(seed), {"kills": 0, "bad": 0, "lost": 0, "locked": 0, "torn": 0, "steps": 0}
    torch.set_num_threads(1)
    write(run, 1)
    pace = 0.0
    for step in range(2, 7):  # the slowest of some: other work may come and go
        begun = time.monotonic()
        write(run, step)
        pace = max(pace, time.monotonic() - begun)
    committed = 6
    for _ in range(kills):
        committed = max(committed, kill_one(run, draw.uniform(0, 8 * pace)))
        result["kills"] += 1
        result["torn"] += any((run / "checkpoints").glob(".tmp-*"))
        said: list[str] = []
        try:
            with RunLock(run):
                found = newest(run, warn=said.append)
        except Exception as error:
            print(error, file=sys.stderr)
            result["locked" if "in use" in str(error) else "bad"] += 1
            continue
        assert found is not None
        wanted = tensors_of(found.step)
        same = all(torch.equal(found.tensors(s)[n], t) for s, named in wanted.items() for n, t in named.items())
        result["bad"] += bool(said) or not same or found.state != {"step": found.step}
        result["lost"] += found.step < committed
        committed = result["steps"] = found.step
    return result


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
