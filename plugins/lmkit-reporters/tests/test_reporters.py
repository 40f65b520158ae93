"""Reporters write what a run tells, in the form that their readers know."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import attrs
import pytest
from lmkit_reporters import services, tables

from lmkit.testing import Check, conformance


@pytest.mark.parametrize("check", conformance("lmkit_reporters.plugin"))
def test_the_plugin_conforms(check: Check) -> None:
    check()


@attrs.frozen(kw_only=True)
class Step:
    """As the engine tells one."""

    step: int
    loss: float
    tokens: int = 100
    seconds: float = 1.0
    terms: dict[str, float] = attrs.field(factory=lambda: {"clm": 2.0})
    grad_norm: float = 1.0
    learning_rate: float = 0.1
    tokens_per_second: float = 1000.0
    model_flops_utilization: float | None = None


@attrs.frozen(kw_only=True)
class Validation:
    """As the engine tells one."""

    step: int
    name: str
    loss: float
    terms: dict[str, float]


@attrs.frozen(kw_only=True)
class End:
    """As the engine tells it."""

    step: int
    reason: str = "done"


of_others = pytest.mark.filterwarnings("default")
"""What a tracker warns of is its own."""
EVENTS: list[Any] = [
    Step(step=1, loss=3.0),
    Step(step=2, loss=float("nan")),
    Validation(step=2, name="held out", loss=2.5, terms={"clm": 2.5}),
    Validation(step=2, name="other", loss=4.5, terms={"clm": 4.5}),
    End(step=2),
]


def test_tables_have_a_row_a_step_and_go_on_after_a_resume(tmp_path: Path) -> None:
    for number in range(2):  # a run, and its resume
        reporter = tables.Csv(tmp_path)
        for event in EVENTS if number == 0 else [Step(step=3, loss=1.0)]:
            reporter(event)
    with (tmp_path / "steps.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["step"], row["loss"]) for row in rows] == [("1", "3.0"), ("2", "nan"), ("3", "1.0")]
    with (tmp_path / "validations.csv").open() as file:
        found = [(row["set"], row["loss"], row["clm"]) for row in csv.DictReader(file)]
    assert found == [("held out", "2.5", "2.5"), ("other", "4.5", "4.5")]


@of_others
def test_tensorboard_reads_its_files(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reporter = services.TensorBoard(tmp_path)
    for event in EVENTS:
        reporter(event)
    found = EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [(one.step, one.value) for one in found.Scalars("train/loss")] == [(1, 3.0)]
    assert [one.value for one in found.Scalars("held out/loss")] == [2.5]


@of_others
def test_wandb_stays_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    reporter = services.WeightsAndBiases(tmp_path)
    for event in EVENTS:
        reporter(event)
    assert list((tmp_path / "wandb").glob("offline-run-*"))


@of_others
def test_mlflow_keeps_metrics_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    reporter = services.MlFlow(tmp_path)
    for event in EVENTS:
        reporter(event)
    assert [m.value for m in reporter._client.get_metric_history(reporter._id, "train/loss")] == [3.0]


@of_others
def test_trackio_keeps_its_runs_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # which it reads when it is imported
    pytest.importorskip("trackio")
    reporter = services.Trackio(tmp_path)
    for event in EVENTS:
        reporter(event)
    assert list((tmp_path / "trackio").glob("lmkit.*"))
