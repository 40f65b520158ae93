"""Low-rank adapters: only they learn, and a run that had them is an ordinary one when it is loaded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import lmkit
from lmkit.checkpoint import newest
from lmkit.report.metrics import read_metrics
from tests.run.labelled import recipe, rows, write


@pytest.fixture
def table(tmp_path: Path) -> dict[str, Any]:
    made = recipe(write(tmp_path / "a.jsonl", rows()), validation=[write(tmp_path / "b.jsonl", rows())])
    made["lora"] = {"rank": 4, "alpha": 8}
    made["train"] |= {"steps": 60, "learning_rate": 0.02}
    return made


def test_adapters_learn_while_the_encoder_stays(bert: lmkit.Run, table: dict[str, Any], tmp_path: Path) -> None:
    run = lmkit.finetune(bert, table, run=tmp_path / "run", quiet=True)
    saved = newest(run.folder, warn=pytest.fail).tensors("model")
    before, after = bert.module.encoder.state_dict(), run.module.encoder.state_dict()
    assert before.keys() == after.keys(), "loaded without adapters"
    assert not any("lora" in name for name in before), "the run that was given stays as it is"
    for name, tensor in before.items():
        kept = saved.get(f"encoder.{name}", saved.get(f"encoder.{name.replace('.weight', '.base_layer.weight')}"))
        assert name.startswith("pooling") or kept is None or torch.equal(kept, tensor), name
    change = after["blocks.0.qkv.weight"] - before["blocks.0.qkv.weight"]
    assert 0 < torch.linalg.matrix_rank(change, rtol=1e-4) <= 4
    last = [r for r in read_metrics(run.folder / "metrics.jsonl") if r["event"] == "evaluated"][-1]
    assert last["terms"]["accuracy"] == lmkit.evaluate(run, rows=rows())["rows"]["accuracy"] > 0.8


def test_a_run_with_adapters_resumes_to_the_same_bits(bert: lmkit.Run, table: dict[str, Any], tmp_path: Path) -> None:
    table["train"] |= {"steps": 8, "schedule": "constant", "warmup": 0.0}
    whole = lmkit.finetune(bert, table, run=tmp_path / "whole", quiet=True)
    table["train"]["steps"] = 5
    lmkit.finetune(bert, table, run=tmp_path / "parts", quiet=True)
    parts = lmkit.resume(tmp_path / "parts", overrides=["train.steps=8"], quiet=True)
    ends = [newest(run.folder, warn=pytest.fail) for run in (whole, parts)]
    for stem in ("model", "optimizer"):
        one, other = (end.tensors(stem) for end in ends)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_without_the_library_it_is_told(
    bert: lmkit.Run, table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(lmkit.FitError, match=r"\[lora\] needs the library peft: pip install 'lmkit\[lora\]'"):
        lmkit.finetune(bert, table, run=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("value", "message"), [({"rank": 0}, r"lora\.rank: 'rank' must be >= 1: 0"), ({"rnk": 2}, r'mean "rank"')]
)
def test_mistakes_in_the_table_are_told(
    bert: lmkit.Run, table: dict[str, Any], tmp_path: Path, value: dict[str, Any], message: str
) -> None:
    with pytest.raises(lmkit.ConfigError, match=message):
        lmkit.finetune(bert, table | {"lora": value}, run=tmp_path / "run", quiet=True)


def test_adapters_and_frozen_layers_do_not_go_together(bert: lmkit.Run, table: dict[str, Any], tmp_path: Path) -> None:
    table["train"]["frozen_layers"] = 1
    with pytest.raises(lmkit.FitError, match=r"\[lora\] adapts every layer alike: leave out train\.frozen_layers"):
        lmkit.finetune(bert, table, run=tmp_path / "run", quiet=True)
