"""Runs that are killed, at random moments and at chosen ones, end at the same bits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Cases

ROOT = Path(__file__).parents[2]


def printed(*command: str) -> Any:
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
def test_a_kill_in_any_phase_costs_no_bit(tmp_path: Path, cases: Cases) -> None:
    found = printed("tests.faults.phases", str(tmp_path / "runs"), str(cases(3, 35, 100)), "1")
    for phase, counts in found.items():
        assert counts["same"] == counts["runs"], phase
        assert counts["kills"] >= counts["runs"], phase


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("objective", ["mlm", "clm", "hybrid", "classification"])
def test_kills_at_random_moments_cost_no_bit(
    objective: str, cases: Cases, measured: Callable[[str, object], None]
) -> None:
    runs = cases(5, 170, 1700)
    found = printed("benchmarks.kills", "--runs", str(runs), "--objective", objective)
    assert found["same_bits"] == found["runs"] == runs
    assert found["kills"] >= runs
    assert found["most_steps_lost_by_a_kill"] <= found["interval"]
    measured("kills", found["kills"])
