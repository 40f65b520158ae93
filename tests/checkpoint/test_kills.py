"""A saver is killed at random moments: there is never a bad checkpoint to be seen, and none that was there is lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SAVERS = Path(__file__).with_name("kill_savers.py")


@pytest.mark.parametrize("kills", [30, pytest.param(300, marks=pytest.mark.slow)])
def test_a_killed_saver_leaves_the_old_checkpoint_or_the_new_one(run: Path, kills: int) -> None:
    done = subprocess.run(
        [sys.executable, str(SAVERS), str(run), str(kills), "1"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    torn, steps = result.pop("torn"), result.pop("steps")
    assert result == {"kills": kills, "bad": 0, "lost": 0, "locked": 0}, done.stderr
    assert torn >= kills / 5, "hardly a save was hit: the kills came at the wrong time"
    assert steps - 6 >= kills / 5, "hardly a save was made between the kills"
