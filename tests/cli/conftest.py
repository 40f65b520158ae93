"""Commands as a user runs them: each in a process of its own, in an empty folder."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import forked


@pytest.fixture
def lmkit(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `lmkit` with these arguments, checks its exit status, and returns what it said.

    The process is forked from one that has imported lmkit, unless its environment is another one.
    """

    def run(
        *arguments: str | Path, status: int = 0, text: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        words = list(map(str, arguments))
        if environment:
            done = subprocess.run(
                [sys.executable, "-m", "lmkit", *words],
                cwd=tmp_path,
                env=os.environ | environment,
                input=text,
                capture_output=True,
                text=True,
                check=False,
            )
        else:
            done = forked.run(words, folder=tmp_path, environment=os.environ, text=text)
        assert done.returncode == status, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run
