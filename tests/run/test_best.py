"""The best checkpoint of a fine-tuned run: kept, used, and found again after a stop."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import lmkit
from lmkit.checkpoint import newest
from lmkit.engine.events import Event, Stepped
from lmkit.report.metrics import read_metrics
from tests.run.labelled import recipe, rows, write


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Rows that are soon known by heart, validated after every fourth step."""
    folder = tmp_path_factory.mktemp("rows")
    held = [{**row, "label": "bad"} if n in (2, 4, 6, 8) else row for n, row in enumerate(rows(60)[48:])]  # wrong ones
    made = recipe(write(folder / "a.jsonl", rows()), validation=[write(folder / "b.jsonl", held)], steps=40)
    made["train"] |= {"evaluate_every_steps": 4, "schedule": "constant"}
    made["checkpoint"] = {"every_minutes": 0.0, "keep": 1}
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, bert: lmkit.Run, table: dict[str, Any]) -> lmkit.Run:
    return lmkit.finetune(bert, table, run=tmp_path_factory.mktemp("best") / "run", quiet=True)


def validations(folder: Path) -> dict[int, dict[str, Any]]:
    return {r["step"]: r for r in read_metrics(folder / "metrics.jsonl") if r["event"] == "evaluated"}


def test_the_best_checkpoint_stays_and_is_what_answers(run: lmkit.Run, table: dict[str, Any]) -> None:
    found = validations(run.folder)
    accuracies = {step: one["terms"]["accuracy"] for step, one in found.items()}
    best = max(accuracies, key=lambda step: (accuracies[step], -found[step]["loss"]))
    assert best < 40, "the rows are too hard for this test"
    assert run.step == best
    assert [p.name for p in sorted((run.folder / "checkpoints").iterdir())] == [f"step-{best:08d}", "step-00000040"]
    assert lmkit.evaluate(run, rows=table["data"]["validation"][0])["rows"]["accuracy"] == accuracies[best]


def test_a_damaged_best_checkpoint_is_told_and_the_newest_answers(run: lmkit.Run, tmp_path: Path) -> None:
    copy = shutil.copytree(run.folder, tmp_path / "copy")
    (copy / "checkpoints" / f"step-{run.step:08d}" / "model.safetensors").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="the best checkpoint cannot be used: .*; step-00000040 is used instead"):
        assert lmkit.load(copy).step == 40


def test_a_stopped_run_finds_the_same_best_model(
    run: lmkit.Run, bert: lmkit.Run, table: dict[str, Any], tmp_path: Path
) -> None:
    """Stopped after its best step and before its end, it goes on from the newest checkpoint, not from the best."""

    def stop(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == run.step + 2:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(lmkit.Interrupted):
        lmkit.finetune(bert, table, run=tmp_path / "run", observers=[stop], quiet=True)
    assert lmkit.load(tmp_path / "run").step == run.step
    resumed = lmkit.resume(tmp_path / "run", quiet=True)
    assert resumed.step == run.step
    ends = [newest(folder, warn=pytest.fail) for folder in (run.folder, tmp_path / "run")]
    for name, tensor in ends[0].tensors("model").items():
        assert torch.equal(tensor, ends[1].tensors("model")[name]), name


def test_patience_ends_fine_tuning(bert: lmkit.Run, table: dict[str, Any], tmp_path: Path) -> None:
    patient = {**table, "train": {**table["train"], "steps": 400, "patience": 3}}
    run = lmkit.finetune(bert, patient, run=tmp_path / "run", quiet=True)
    last = max(validations(run.folder))
    assert last == run.step + 3 * 4
    [finished] = [r for r in read_metrics(run.folder / "metrics.jsonl") if r["event"] == "finished"]
    assert finished["reason"] == "no better"


def test_a_metric_that_the_rows_do_not_give_is_told(bert: lmkit.Run, table: dict[str, Any], tmp_path: Path) -> None:
    wrong = {**table, "task": {**table["task"], "metric": "f2"}}
    with pytest.raises(lmkit.ConfigError, match=r'task\.metric: expected .*"macro_f1".* got str \'f2\''):
        lmkit.finetune(bert, wrong, run=tmp_path / "run", quiet=True)


def test_frozen_layers_stay_and_the_lower_ones_learn_slower(
    bert: lmkit.Run, table: dict[str, Any], tmp_path: Path
) -> None:
    def moved(**settings: Any) -> dict[str, float]:
        folder = tmp_path / "-".join(settings)
        made = {**table, "train": {**table["train"], "steps": 2, "optimizer": "adamw", **settings}}
        tuned = lmkit.finetune(bert, made, run=folder, quiet=True).module.encoder
        before = dict(bert.module.encoder.named_parameters())
        return {n: float((p - before[n]).detach().abs().max()) for n, p in tuned.named_parameters()}

    frozen = moved(frozen_layers="all")
    assert {name for name, change in frozen.items() if change} == {"pooling.weight", "pooling.bias"}
    slow = moved(layer_decay=0.1)
    assert slow["token_embedding.weight"] < 0.03 * slow["pooling.weight"], "two layers below: a hundredth"
