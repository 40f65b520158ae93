"""Memory: too little of it is told; training and evaluating need no more of it the longer they go on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import lmkit
from lmkit.engine.events import Event, Stepped
from tests.faults.conftest import Cases
from tests.run.recipes import BOOK, recipe

LIMITED = """
import resource, sys
import lmkit.cli.app
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(lmkit.cli.app.run(sys.argv[1:]))
"""
SCORED = """
import resource, sys
import lmkit
lmkit.evaluate(lmkit.load(sys.argv[1]), text=sys.argv[2:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_evaluating_ten_times_as_much_needs_no_more_memory(
    tmp_path: Path, book: Path, measured: Callable[[str, object], None]
) -> None:
    run = lmkit.pretrain(recipe("clm", book, steps=2), run=tmp_path / "run", quiet=True)
    text = BOOK.read_text(encoding="utf-8")
    peaks = []
    for times in (1, 10):
        (tmp_path / f"{times}.txt").write_text(text * times)
        command = [sys.executable, "-c", SCORED, str(run.folder), str(tmp_path / f"{times}.txt")]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    measured("peak of ten times as much", round(peaks[1] / peaks[0], 3))
    assert peaks[1] <= 1.05 * peaks[0]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_steps_validations_and_saves_leave_nothing_behind(
    tmp_path: Path, book: Path, cases: Cases, measured: Callable[[str, object], None]
) -> None:
    steps = cases(1_000, 20_000, 100_000)
    seen: dict[int, tuple[int, int, int]] = {}

    def look(event: Event) -> None:
        if isinstance(event, Stepped) and event.step % (steps // 10) == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            seen[event.step] = (
                pages * os.sysconf("SC_PAGE_SIZE"),
                len(os.listdir("/proc/self/fd")),
                threading.active_count(),
            )

    table = recipe("mlm", book, steps=steps, every_steps=10, evaluate_every_steps=20)
    table["checkpoint"] |= {"keep": 2}
    run = lmkit.pretrain(table, run=tmp_path / "run", observers=[look], quiet=True)
    early, late = seen[3 * steps // 10], seen[steps]
    measured("cases", steps)
    measured("bytes a step", round((late[0] - early[0]) / (0.7 * steps)))
    assert late[0] - early[0] < max(8e6, 100 * steps)
    assert late[1:] == early[1:]
    assert len(os.listdir(run.folder / "checkpoints")) == 2
    assert sorted(os.listdir(run.folder)) == [".lock", "checkpoints", "config.toml", "metrics.jsonl"]


@pytest.mark.slow
def test_too_little_memory_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("Robin Hood in greenwood stood, and under a tree was he.\n" * 60)
    (tmp_path / "run.toml").write_text(
        '[tokenizer]\nuse = "bytes"\n[data]\ntrain = ["text.txt"]\n'
        '[encoder]\nuse = "gpt2"\nlayers = 40\nwidth = 4096\n[objective]\nuse = "clm"\n'
        "[train]\nsteps = 1\nblock_tokens = 64\nbatch_tokens = 64\nthreads = 1\n"
    )
    command = [sys.executable, "-c", LIMITED, str(5 << 30), "pretrain", "run.toml", "--run", "run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert "memory" in done.stderr
    assert done.stderr.count("error: ") == 1
    assert not (tmp_path / "run").exists()
