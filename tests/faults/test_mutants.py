"""The tests themselves: each thing that keeps runs whole is taken away in a copy, and a test has to notice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
_LEFT = shutil.ignore_patterns(".*", "__pycache__", "_build", "*.egg-info", "docs", "reports", "node_modules")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("mutants") / "lmkit", ignore=_LEFT))


def tried(copy: Path, tests: str) -> subprocess.CompletedProcess[str]:
    places = os.pathsep.join(map(str, [copy, *sorted((copy / "plugins").glob("*/"))]))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "", *tests.split()]
    environment = {**os.environ, "PYTHONPATH": places, "LMKIT_FAULTS": "quick"}
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("tests", sorted({mutant.tests for mutant in MUTANTS}))
def test_without_a_mutant_they_pass(copy: Path, tests: str) -> None:
    done = tried(copy, tests)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_is_caught(copy: Path, mutant: Mutant) -> None:
    path = copy / mutant.file
    whole = path.read_text()
    assert whole.count(mutant.old) == 1, f"{mutant.file} has changed: {mutant.old!r} is no longer in it once"
    path.write_text(whole.replace(mutant.old, mutant.new))
    try:
        done = tried(copy, mutant.tests)
    finally:
        path.write_text(whole)
    assert done.returncode == 1, f"nobody noticed that {mutant.name}\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}"
