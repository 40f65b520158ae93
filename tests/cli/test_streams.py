"""Closed streams are no reason to fail: nothing is read there, and nobody is written to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.run.recipes import write_book

TOML = """
[tokenizer]
use = "wordpiece"
vocab_size = 300
[data]
train = ["book.md"]
[encoder]
use = "bert"
layers = 1
width = 32
[objective]
use = "mlm"
[train]
steps = 2
block_tokens = 32
batch_tokens = 64
"""


def shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    line = command.replace("lmkit", f"{sys.executable} -m lmkit", 1)
    return subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["lmkit init >&-", "lmkit init --json >&-", "lmkit doctor >&- 2>&-"])
def test_an_answer_to_nobody_is_no_failure(tmp_path: Path, command: str) -> None:
    done = shell(tmp_path, command)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_run_is_trained_with_every_stream_closed(tmp_path: Path) -> None:
    write_book(tmp_path)
    (tmp_path / "run.toml").write_text(TOML)
    assert shell(tmp_path, "lmkit pretrain run.toml --run run <&- >&- 2>&-").returncode == 0
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["step-00000002"]
    done = shell(tmp_path, "lmkit predict run --rows - <&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_name_that_is_not_utf8_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    write_book(tmp_path)
    (tmp_path / "run.toml").write_text(TOML)
    done = shell(tmp_path, "lmkit pretrain run.toml --run $'n\\xff'")
    assert done.returncode != 0
    assert done.stderr.endswith("a run's folder needs a name that is UTF-8; give another --run\n")
    assert {path.name for path in tmp_path.iterdir()} == {"book.md", "run.toml"}
