"""SIGKILL inside a save, at each of its calls to the system."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def test_at_no_call_of_a_save_does_a_kill_leave_a_bad_checkpoint(
    tmp_path: Path, measured: Callable[[str, object], None]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.kill_at_calls", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["bad"] == 0
    assert found["old"] > 30, "the kills came too late"
    assert found["new"] > 5, "no kill came behind the rename"
    measured("cases", found["points"])
