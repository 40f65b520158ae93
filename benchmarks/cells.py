"""Cells: pieces of a long measurement, each made in a process of its own and appended to a file when it is done.

What the file has is not made again, so that a measurement of hours may end at any moment and go on another day.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.places import ROOT

Cell = Mapping[str, Any]


def read_cells(file: Path) -> list[dict[str, Any]]:
    """What is there."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def make_cells(
    file: Path, wanted: Sequence[Cell], command: Callable[[Cell], Sequence[str]], *, jobs: int = 1
) -> list[dict[str, Any]]:
    """Make each of `wanted` that `file` has not, `jobs` at once; all that is there in the end.

    `command` says what follows `python -m` for a cell; the last line that it prints is an object, which is kept with
    what was wanted.  With several at once each has one thread.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    done = [{key: one.get(key) for key in wanted[0]} for one in read_cells(file)] if wanted else []
    environment = {**os.environ, **({"OMP_NUM_THREADS": "1"} if jobs > 1 else {})}

    def make(cell: Cell) -> None:
        run = subprocess.run(
            [sys.executable, "-m", *command(cell)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            print(f"{dict(cell)} failed:\n{run.stderr[-2000:]}", file=sys.stderr, flush=True)
            return
        found = json.loads(run.stdout.splitlines()[-1])
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({**cell, **found}) + "\n")
        print({**cell, **{key: value for key, value in found.items() if isinstance(value, (int, float))}}, flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(make, [cell for cell in wanted if dict(cell) not in done]))
    return read_cells(file)
