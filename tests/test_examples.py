"""The examples run as they stand, in less time."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_four_steps(tmp_path, monkeypatch, capsys):
    script = EXAMPLES / "four-steps" / "four_steps.py"
    monkeypatch.setattr(sys, "argv", [str(script), "--minutes", "0.05", "--folder", str(tmp_path / "runs")])
    runpy.run_path(str(script), run_name="__main__")
    said = capsys.readouterr().out
    assert said.startswith("tokenized: {'Robin': ")
    assert "encoded: (1, 8, 128) (1, 128)" in said
    assert "predicted: " in said
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {"bert", "tuned"}
