"""Commands as a user runs them: each a process of its own, in an empty folder."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def lmkit(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `lmkit` with these arguments, checks its exit status, and returns what it said."""

    def run(
        *arguments: str | Path, status: int = 0, text: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "lmkit", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | environment,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run
