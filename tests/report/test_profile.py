"""The profile of a run: its parts are those of a step, it is told where there is none, and training is as without."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import lmkit

PARTS = ["batch", "forward", "backward", "clip", "optimizer", "the rest"]


@pytest.fixture
def recipe(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "text.txt").write_text("Robin Hood in greenwood stood, and under a tree was he.\n" * 200)
    return {
        "tokenizer": {"use": "bpe", "vocab_size": 300},
        "data": {"train": [str(tmp_path / "text.txt")], "document": "line"},
        "encoder": {"use": "qwen3", "layers": 1, "width": 64},
        "objective": {"use": "clm"},
        "train": {"steps": 10, "block_tokens": 32, "batch_tokens": 256, "precision": "fp32", "compile": "off"},
    }


def test_a_step_is_told_in_its_parts_and_its_operations(recipe: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    watched = lmkit.pretrain(recipe, run=folder, observers=[lmkit.Profile(folder, after=2, steps=4)], quiet=True)
    text = (folder / "profile.md").read_text()
    assert text.startswith("# Where the time goes: steps 3 to 6, ")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    parts = {name: float(took.replace(",", "")) for name, took, _ in rows[1 : 1 + len(PARTS)]}
    assert list(parts) == PARTS
    assert all(took > 0 for name, took in parts.items() if name != "the rest")
    assert any(row[0] == "`aten::mm`" for row in rows)
    events = json.loads(gzip.decompress((folder / "profile.json.gz").read_bytes()))["traceEvents"]
    assert sum(event.get("name") == "step: forward" for event in events) == 4

    alone = lmkit.pretrain(recipe, run=tmp_path / "alone", quiet=True)
    weights, others = (run.module.state_dict() for run in (watched, alone))
    assert all(bool((others[name] == weight).all()) for name, weight in weights.items())


def test_a_run_that_ends_early_is_profiled_as_far_as_it_came(recipe: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    lmkit.pretrain(recipe, run=folder, observers=[lmkit.Profile(folder, after=8, steps=8)], quiet=True)
    assert (folder / "profile.md").read_text().startswith("# Where the time goes: steps 9 to 10, ")


def test_too_few_steps_are_told_and_harm_nothing(
    recipe: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    lmkit.pretrain(recipe, run=folder, observers=[lmkit.Profile(folder, after=10)], quiet=True)
    assert "10 steps are too few for a profile: it watches those after 10" in capsys.readouterr().err
    assert not (folder / "profile.md").exists()
