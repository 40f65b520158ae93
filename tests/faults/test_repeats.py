"""The same run in many processes gives the same bits, as the README promises of fp32 without a compiler."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import Cases
from tests.run.recipes import recipe

RUN = "import json, sys, lmkit; lmkit.pretrain(json.loads(sys.argv[1]), run=sys.argv[2], quiet=True)"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", ["mlm", "clm"])
def test_the_same_run_gives_the_same_bits(tmp_path: Path, book: Path, kind: str, threads: int, cases: Cases) -> None:
    table = recipe(kind, book, dropout=0.1, steps=30, every_steps=30, threads=threads)
    found = set()
    for number in range(cases(3, 20, 20)):
        run = tmp_path / str(number)
        subprocess.run([sys.executable, "-c", RUN, json.dumps(table), str(run)], check=True)
        final = run / "checkpoints" / "step-00000030"
        content = b"".join((final / name).read_bytes() for name in ("model.safetensors", "optimizer.safetensors"))
        found.add(hashlib.sha256(content).hexdigest())
    assert len(found) == 1
