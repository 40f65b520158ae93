"""Train for long in short runs with faults among them, in one process: what it holds must not grow.

    python -m tests.faults.soak [--minutes 90] [--seed 1]

Every run is pre-trained, stopped, damaged, refused or left alone, gone on with, asked, and deleted.  Prints what the
process held early, half-way and in the end, and leaves with 1 where that has grown.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmkit
from lmkit.engine.events import Event, Stepped
from tests.run.recipes import recipe, write_book

STEPS = 12
_MORE_BYTES = 30e6
"""That a process may hold in the end beyond what it held early: allocators do not give back all."""


def at_step(step: int, do: Callable[[], object]) -> Callable[[Event], None]:
    def observe(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == step:
            do()

    return observe


class Fault:
    """Each method makes a run in `folder` in which something goes wrong, and brings it to its end."""

    def __init__(self, folder: Path, table: dict[str, Any], step: int) -> None:
        self.folder, self.table, self.step = folder, table, step

    def nothing(self) -> None:
        run = lmkit.pretrain(self.table, run=self.folder, quiet=True)
        lmkit.evaluate(run, text=[self.table["data"]["train"][0]])
        (run.complete if run.head_kind == "next-token" else run.encode)("Robin")

    def a_signal(self) -> None:
        stop = at_step(self.step, lambda: os.kill(os.getpid(), signal.SIGTERM))
        try:
            lmkit.pretrain(self.table, run=self.folder, observers=[stop], quiet=True)
        except lmkit.Interrupted:
            lmkit.resume(self.folder, quiet=True)

    def a_flipped_bit(self) -> None:
        lmkit.pretrain(self.table, run=self.folder, quiet=True)
        weights = sorted((self.folder / "checkpoints").iterdir())[-1] / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-self.step] ^= 1
        weights.write_bytes(content)
        lmkit.resume(self.folder, quiet=True)

    def a_loss_that_is_no_number(self) -> None:
        wild = {**self.table, "train": {**self.table["train"], "learning_rate": 1e30, "spike": 0.0}}
        try:
            lmkit.pretrain(wild, run=self.folder, quiet=True)
        except lmkit.TrainingAlarm:
            return
        raise AssertionError("nothing rang")

    def a_disk_that_refuses(self) -> None:
        def block() -> None:
            place = self.folder / "checkpoints"
            shutil.rmtree(place, ignore_errors=True)
            place.write_text("a file")

        try:
            lmkit.pretrain(self.table, run=self.folder, observers=[at_step(self.step, block)], quiet=True)
        except lmkit.CheckpointError:
            (self.folder / "checkpoints").unlink()
            lmkit.resume(self.folder, quiet=True)

    def text_that_is_none(self) -> None:
        bad = self.folder.with_suffix(".txt")
        bad.write_bytes(b"Robin \xff")
        try:
            lmkit.pretrain({**self.table, "data": {"train": [str(bad)]}}, run=self.folder, quiet=True)
        except lmkit.DataError:
            bad.unlink()


FAULTS = [name for name in vars(Fault) if not name.startswith("_")]


def held(cache: Path) -> dict[str, int]:
    """What this process and its cache hold now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "bytes of memory": pages * os.sysconf("SC_PAGE_SIZE"),
        "open files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "files of the cache": sum(1 for _ in cache.rglob("*")),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=90.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")  # of damaged checkpoints: they are meant
    drawn, counts = random.Random(asked.seed), Counter[str]()
    seen: list[dict[str, int]] = []
    with tempfile.TemporaryDirectory() as temporary:
        place, cache = Path(temporary), Path(temporary) / "cache"
        os.environ["LMKIT_CACHE"] = str(cache)
        book = write_book(place)
        tables = [recipe(kind, book, dropout=0.1, steps=STEPS, every_steps=2) for kind in ("mlm", "clm")]
        begun = time.monotonic()
        while (spent := time.monotonic() - begun) < 60 * asked.minutes:
            name = FAULTS[len(seen)] if len(seen) < len(FAULTS) else drawn.choice(FAULTS)
            folder = place / "run"
            getattr(Fault(folder, drawn.choice(tables), drawn.randint(3, STEPS - 2)), name)()
            shutil.rmtree(folder, ignore_errors=True)
            counts[name] += 1
            seen.append({"seconds": round(spent), **held(cache)})
    early, late = seen[len(seen) // 5], seen[-1]
    print(json.dumps({"runs": len(seen), **counts}, indent=1))
    for name, line in (("early", early), ("half-way", seen[len(seen) // 2]), ("in the end", late)):
        print(f"{name}: {json.dumps(line)}")
    grown = [key for key in ("open files", "threads", "files of the cache") if late[key] > early[key]]
    if late["bytes of memory"] > early["bytes of memory"] + _MORE_BYTES:
        grown.append("bytes of memory")
    print(f"grown: {', '.join(grown) or 'nothing'}")
    return int(bool(grown))


if __name__ == "__main__":
    sys.exit(main())
