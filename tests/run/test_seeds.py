"""One recipe from several seeds."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import pytest

import lmkit
from lmkit.run.seeds import compared
from tests.run.labelled import recipe, rows, write


def test_seeds_are_trained_apart_compared_and_evaluated_together(tmp_path: Path, bert: lmkit.Run) -> None:
    table = recipe(write(tmp_path / "a.jsonl", rows()), validation=0.25, steps=6)
    found = lmkit.finetune_seeds(bert, table, run=tmp_path / "runs", seeds=[1, 2, 3], quiet=True)
    assert list(found["seeds"]) == ["seed-1", "seed-2", "seed-3"]
    losses = [one["loss"] for one in found["seeds"].values()]
    assert len(set(losses)) == 3
    assert found["mean"]["loss"] == statistics.fmean(losses)
    assert found["spread"]["loss"] == statistics.stdev(losses)

    before = (tmp_path / "runs/seed-2/checkpoints/step-00000006/model.safetensors").stat().st_mtime_ns
    again = lmkit.finetune_seeds(bert, table, run=tmp_path / "runs", seeds=[1, 2, 3], quiet=True)
    assert again == found, "finished seeds are not trained again"
    assert (tmp_path / "runs/seed-2/checkpoints/step-00000006/model.safetensors").stat().st_mtime_ns == before

    scored = lmkit.evaluate(tmp_path / "runs", rows=rows())
    each = [lmkit.evaluate(tmp_path / f"runs/seed-{n}", rows=rows())["rows"]["accuracy"] for n in (1, 2, 3)]
    assert scored["mean"]["rows.accuracy"] == pytest.approx(statistics.fmean(each))

    with pytest.raises(lmkit.RunError, match=r"runs of several seeds; name one, such as .*seed-1"):
        lmkit.load(tmp_path / "runs")
    with pytest.raises(lmkit.RunError, match="its seeds started from other weights than"):
        lmkit.finetune_seeds(tmp_path / "runs/seed-1", table, run=tmp_path / "runs", seeds=[1], quiet=True)
    (tmp_path / "runs/seed-2/metrics.jsonl").unlink()
    with pytest.raises(lmkit.RunError, match=r"seed-2: its metrics.jsonl is gone"):
        lmkit.finetune_seeds(bert, table, run=tmp_path / "runs", seeds=[2], quiet=True)
    table["train"]["steps"] = 7
    with pytest.raises(lmkit.RunError, match="seed-1: already there, from another recipe"):
        lmkit.finetune_seeds(bert, table, run=tmp_path / "runs", seeds=[1], quiet=True)


def test_a_seed_that_is_none_is_told_before_any_is_trained(tmp_path: Path, bert: lmkit.Run) -> None:
    table = recipe(write(tmp_path / "train.jsonl", rows()), steps=2)
    with pytest.raises(lmkit.ConfigError, match="seed"):
        lmkit.finetune_seeds(bert, table, run=tmp_path / "runs", seeds=[1, -3], quiet=True)
    assert not (tmp_path / "runs").exists()


def test_a_number_that_is_none_has_no_spread() -> None:
    found = compared({"seed-1": {"loss": 1.0, "f1": 0.5}, "seed-2": {"loss": float("nan"), "f1": 0.5}})
    assert math.isnan(found["spread"]["loss"])
    assert found["spread"]["f1"] == 0


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_are_to_differ(tmp_path: Path, bert: lmkit.Run, seeds: list[int]) -> None:
    with pytest.raises(lmkit.ConfigError, match="expected different seeds"):
        lmkit.finetune_seeds(bert, {}, run=tmp_path / "runs", seeds=seeds)
