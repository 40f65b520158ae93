"""A signal at a random moment, in the imports, the data, a step, a validation or a save: nothing is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import lmkit
from tests.faults.conftest import Cases
from tests.run.recipes import recipe, write_book

RUN = """
import json, sys
import lmkit
from pathlib import Path
table, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
try:
    if (folder / "config.toml").exists():
        lmkit.resume(folder, quiet=True)
    else:
        lmkit.pretrain(table, run=folder, quiet=True)
except lmkit.Interrupted as error:
    sys.exit(error.exit_status)
"""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_signal_at_any_moment_loses_nothing(tmp_path: Path, cases: Cases) -> None:
    table = recipe("mlm", write_book(tmp_path), dropout=0.1, every_steps=7, steps=400, evaluate_every_steps=5)
    table["checkpoint"] |= {"keep": 2}
    command = [sys.executable, "-c", RUN, json.dumps(table)]
    begun = time.monotonic()
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    length = time.monotonic() - begun
    whole = lmkit.load(tmp_path / "whole").module.state_dict()
    drawn = random.Random(3)
    saved = 0
    for number in range(cases(4, 50, 200)):
        folder = tmp_path / f"run-{number}"
        for sent in (drawn.choice([signal.SIGTERM, signal.SIGINT]), None):
            with subprocess.Popen([*command, str(folder)], stderr=subprocess.PIPE) as process:
                if sent is not None:
                    time.sleep(drawn.uniform(0, length))
                    before = process.poll()
                    process.send_signal(sent)
                    if drawn.random() < 0.3 and sent == signal.SIGTERM:  # and once more
                        process.send_signal(sent)
                process.communicate(timeout=120)
            if sent is None:
                assert process.returncode == 0
            elif before is None:
                # before training begins a signal ends the process, as it ends any
                assert process.returncode in (0, 1, 3, -sent)
                if process.returncode == 3:
                    saved += 1
                    [last] = [e for e in _events(folder) if e["event"] == "finished"][-1:]
                    newest = sorted(os.listdir(folder / "checkpoints"))[-1]
                    assert last["step"] == int(newest.removeprefix("step-"))
        there = lmkit.load(folder).module.state_dict()
        assert all(torch.equal(there[name], whole[name]) for name in whole)
    assert saved


def _events(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
