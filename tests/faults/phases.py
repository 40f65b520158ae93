"""Kills a run with SIGKILL at moments of a kind, resumes it, and compares its final weights; prints JSON.

    python -m tests.faults.phases FOLDER TIMES SEED

Every run is a fork of this process, which has imported all.  The moments are events that the run tells: it dies while
it tells one, or, for a save in the background, some milliseconds after one has begun.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lmkit
from lmkit.engine.events import Evaluated, Event, Resumed, Saved, Started, Stepped
from tests.run.recipes import recipe, write_book

STEPS = 12
MOMENTS: dict[str, Callable[[Event], bool]] = {
    "before the first step": lambda event: isinstance(event, Started),
    "behind a step": lambda event: isinstance(event, Stepped),
    "in a validation": lambda event: isinstance(event, Evaluated),
    "behind a save": lambda event: isinstance(event, Saved),
    "in a save in the background": lambda event: isinstance(event, Saved),
    "in a resume": lambda event: isinstance(event, Resumed),
    "at the end of an epoch": lambda event: isinstance(event, Stepped) and event.step % 4 == 0,
}
"""What is told then."""


def tables(book: Path, moment: str) -> dict[str, Any]:
    """Some steps an epoch, saved at every second, validated at every third."""
    told = recipe("mlm", book, dropout=0.1, every_steps=2, steps=STEPS, evaluate_every_steps=3)
    told["checkpoint"] |= {"keep": 2, "background": "background" in moment}
    return told


def dies(moment: str, count: int, wait: float) -> Callable[[Event], None]:
    """An observer that kills its process at the `count`-th event of this kind."""
    left = count

    def observe(event: Event) -> None:
        nonlocal left
        if MOMENTS[moment](event):
            left -= 1
            if left == 0:
                time.sleep(wait)
                os.kill(os.getpid(), signal.SIGKILL)

    return observe


def forked(work: Callable[[], object]) -> bool:
    """Do it in a child; returns whether it was killed, and raises where it failed by itself."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0, "a run failed"
    return os.WIFSIGNALED(status)


def final(run: Path) -> str:
    """What the last checkpoint's weights and optimizer are known by."""
    place = run / "checkpoints" / f"step-{STEPS:08d}"
    names = ("model.safetensors", "optimizer.safetensors")
    return hashlib.sha256(b"".join((place / name).read_bytes() for name in names)).hexdigest()


def main(folder: Path, times: int, seed: int) -> dict[str, dict[str, int]]:
    drawn = random.Random(seed)
    folder.mkdir(parents=True)
    book = write_book(folder, lines=24)
    result = {}
    for moment in MOMENTS:
        asked = tables(book, moment)
        whole = folder / f"whole {moment}"
        forked(partial(lmkit.pretrain, asked, run=whole, quiet=True))
        kills = same = 0
        for number in range(times):
            run = folder / f"{moment} {number}"
            for attempt in range(4):  # killed up to three times: the last goes on from what was resumed already
                count = drawn.randint(1, 3) if moment not in ("before the first step", "in a resume") else 1
                wait = drawn.uniform(0, 0.01) if "background" in moment else 0.0
                watch = [dies(moment, count, wait)] if attempt < 3 else []

                def go_on(asked: Any = asked, run: Path = run, watch: Any = watch) -> None:
                    if (run / "config.toml").exists():
                        lmkit.resume(run, observers=watch, quiet=True)
                    else:
                        lmkit.pretrain(asked, run=run, observers=watch, quiet=True)

                killed = forked(go_on)
                kills += killed
                if not killed and moment != "in a resume":
                    break
                if not killed and attempt == 0:  # nothing was resumed yet: cut it as a kill would have
                    last = sorted((run / "checkpoints").iterdir())[-1]
                    last.rename(folder / f"{number} {last.name}")
            same += final(run) == final(whole)
        result[moment] = {"runs": times, "kills": kills, "same": same}
    return result


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
