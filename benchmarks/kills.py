"""Kill runs with SIGKILL at random moments, resume them, and compare their final weights with an uninterrupted run's.

    python -m benchmarks.kills [--runs 30] [--precision fp32|bf16] [--compile]
                               [--objective mlm|clm|hybrid|classification]

Each run is a process forked from a parent that has imported everything, so that a kill costs its training time only.
It is killed once or twice, at moments drawn over the whole length of a run, writing of checkpoints included.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lmkit
from lmkit.cli.waiting import wait_politely
from lmkit.run.folder import never_began

BOOK = Path(__file__).parents[1] / "lmkit" / "demo" / "robin_hood.md"
PARTS: dict[str, dict[str, Any]] = {
    "mlm": {"tokenizer": {"use": "wordpiece"}, "encoder": {"use": "bert"}, "objective": {"use": "mlm"}},
    "clm": {"tokenizer": {"use": "bpe"}, "encoder": {"use": "gpt2"}, "objective": {"use": "clm"}},
    "hybrid": {"tokenizer": {"use": "bpe"}, "encoder": {"use": "qwen3"}, "objective": {"use": "hybrid"}},
}
TUNED = "classification"
"""What is fine-tuned, instead of pre-trained: which half of the book a paragraph is of."""


def recipe(objective: str, precision: str, compiled: bool) -> dict[str, Any]:
    """A small model with dropout, saved every third step, on two threads."""
    parts = PARTS[objective]
    return {
        "tokenizer": {**parts["tokenizer"], "vocab_size": 2000},
        "data": {"train": [str(BOOK)], "document": "paragraph"},
        "encoder": {**parts["encoder"], "layers": 2, "width": 64, "dropout": 0.1},
        "objective": parts["objective"],
        "train": training(precision, compiled),
        "checkpoint": SAVED,
    }


SAVED = {"every_minutes": 0, "every_steps": 3, "keep": 2}


def training(precision: str, compiled: bool) -> dict[str, Any]:
    """The budget and the batch of either."""
    return {
        "steps": 40,
        "block_tokens": 64,
        "batch_tokens": 2048,
        "micro_batch_tokens": 1024,
        "evaluate_every_steps": 0,
        "precision": precision,
        "compile": "on" if compiled else "off",
        "threads": 2,
    }


def tuning(folder: Path, precision: str) -> tuple[Path, dict[str, Any]]:
    """A start, and the recipe that fine-tunes it; both lie in `folder`."""
    start = folder / "start"
    pretraining = recipe("mlm", precision, compiled=False)
    pretraining["train"]["steps"] = 2
    assert ended_well(forked(partial(lmkit.pretrain, pretraining, run=start, quiet=True)))
    texts = [text for text in BOOK.read_text(encoding="utf-8").split("\n\n") if text.strip()]
    rows = [{"text": text[:300], "label": "first" if 2 * n < len(texts) else "second"} for n, text in enumerate(texts)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"use": TUNED, "longest": 64}
    tables = {"task": task, "data": {"train": [str(folder / "rows.jsonl")]}, "checkpoint": SAVED}
    return start, {**tables, "train": training(precision, compiled=False)}


def hashes(run: Path) -> dict[str, str]:
    """SHA-256 of the final weights and of the optimizer's state."""
    final = run / "checkpoints" / "step-00000040"
    return {
        name: hashlib.sha256((final / f"{name}.safetensors").read_bytes()).hexdigest()
        for name in ("model", "optimizer")
    }


def forked(work: Callable[[], object]) -> int:
    """Do `work` in a child; returns its process id."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
    return child


def ended_well(child: int) -> bool:
    """Wait for a child; whether it ended by itself, and well."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def main() -> None:
    wait_politely()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--objective", choices=[*PARTS, TUNED], default="mlm")
    asked = parser.parse_args()
    drawn = random.Random(7)
    kills = same = lost = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        whole = folder / "whole"
        if asked.objective == TUNED:
            anew = partial(lmkit.finetune, *tuning(folder, asked.precision))
        else:
            anew = partial(lmkit.pretrain, recipe(asked.objective, asked.precision, asked.compile))
        assert ended_well(forked(partial(anew, run=whole, quiet=True)))  # it prepares the data for all others
        begun = time.monotonic()
        assert ended_well(forked(partial(anew, run=folder / "timed", quiet=True)))
        length = time.monotonic() - begun
        wanted = hashes(whole)
        for number in range(asked.runs):
            run = folder / f"run-{number}"
            deaths, died = drawn.choice([1, 2]), False
            while True:
                fresh = not (run / "config.toml").exists() or never_began(run)
                work = partial(anew, run=run) if fresh else partial(lmkit.resume, run)
                child = forked(partial(work, quiet=True))
                if not deaths:
                    assert ended_well(child), f"run {number} did not go on"
                    break
                time.sleep(drawn.uniform(0, length))
                os.kill(child, signal.SIGKILL)
                if not ended_well(child):
                    kills, deaths, died = kills + 1, deaths - 1, True
                elif died:  # over before it could be killed once more
                    deaths = 0
                else:  # over before it could be killed at all: anew
                    shutil.rmtree(run)
            found = hashes(run)
            same += found == wanted
            lost = max(lost, _replayed(run))
            print(f"run {number + 1}: {'same bits' if found == wanted else 'OTHER BITS'}", flush=True)
    print(
        json.dumps(
            {
                "runs": asked.runs,
                "kills": kills,
                "same_bits": same,
                "most_steps_lost_by_a_kill": lost,
                "interval": SAVED["every_steps"],
                "precision": asked.precision,
                "compile": asked.compile,
                "objective": asked.objective,
                "threads": 2,
            }
        )
    )


def _replayed(run: Path) -> int:
    """Most steps that were made a second time after one kill."""
    most, last = 0, 0
    for line in (run / "metrics.jsonl").read_text().splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # a line that a kill tore
            continue
        if event["event"] == "step":
            most = max(most, last + 1 - event["step"])
            last = event["step"]
    return most


if __name__ == "__main__":
    main()
