"""The best model of a run, and stopping when none better comes."""

from __future__ import annotations

import json
import math
import signal

import attrs
import pytest

from lmkit.engine.best import Best, Judge, judged
from lmkit.engine.events import Evaluated, Finished, Saved, Stepped
from lmkit.engine.saving import Saving
from lmkit.engine.state import Snapshot, State
from lmkit.errors import Interrupted
from tests.engine.tiny import Recorder, build


def test_the_first_of_equals_is_best_and_what_is_no_number_is_worst():
    best = None
    for step, value in enumerate([math.nan, 0.5, 0.5, math.nan, 0.7, 0.6]):
        best = judged(best, step, value, loss=1.0)
    assert best == Best(step=4, value=0.7, loss=1.0, stale=1)
    nothing = judged(None, 0, math.nan, math.nan)
    assert json.loads(json.dumps(attrs.asdict(nothing), allow_nan=False))["value"] < 0, "it can be saved"
    assert judged(nothing, 1, -5.0, 5.0) == Best(step=1, value=-5.0, loss=5.0)
    assert judged(best, 4, 0.7, 1.0) is best, "validated twice at one step"
    lower = judged(best, 6, 0.7, 0.9)
    assert lower == Best(step=6, value=0.7, loss=0.9, stale=2), "of equal ones that with the lowest loss"


def _judged(values: list[float], by: str | None = "worth", **settings):
    """A run of 12 steps, validated after each; the judge says `values` in turn."""
    left = iter(values)
    kept: list[Snapshot] = []

    def save(snapshot: Snapshot) -> str:
        kept.append(attrs.evolve(snapshot, state=State.from_json(snapshot.state.to_json())))
        return f"step {snapshot.state.step}"

    saving = Saving(save=save, every_steps=None, every_minutes=None)
    engine, told = build(steps=12, evaluate_every_steps=1, saving=saving, **settings)
    engine.judge = Judge(metrics=lambda name: {"worth": next(left)}, by=by)
    engine.__attrs_post_init__()
    return engine, told, kept


def _steps(told: Recorder, kind: type) -> list[int]:
    return [event.step for event in told.of(kind)]


def test_each_better_model_is_saved_and_patience_ends_the_run():
    engine, told, kept = _judged([0.1, 0.3, 0.2, 0.5, 0.45, 0.4, 0.1, 0.9], patience=3)
    engine.train()
    assert [e.step for e in told.of(Evaluated) if e.best] == [1, 2, 4]
    assert _steps(told, Saved) == [1, 2, 4, 7]
    assert [k.state.best.step for k in kept] == [1, 2, 4, 4]
    assert [e.reason for e in told.of(Finished)] == ["no better"]
    assert told.of(Evaluated)[3].terms["worth"] == 0.5


def test_a_run_that_patience_ended_does_not_go_on():
    engine, _, kept = _judged([0.9, 0.1, 0.1], patience=2)
    engine.train()
    again, told, _ = _judged([0.8], patience=2)
    again.restore(kept[-1].state, kept[-1].tensors)
    again.train()
    assert again.state.step == 3
    assert [e.reason for e in told.of(Finished)] == ["no better"]


def test_without_a_metric_the_lowest_loss_is_best():
    engine, told, _ = _judged([0.0] * 12, by=None)
    engine.train()
    losses = {e.step: e.loss for e in told.of(Evaluated)}
    least = min(losses.values())
    assert engine.state.best == Best(step=min(losses, key=losses.get), value=-least, loss=least, stale=0)


@pytest.mark.parametrize(("judge", "steps"), [(True, [4, 8, 9]), (False, [9])])
def test_a_judged_run_is_validated_once_an_epoch(judge, steps):
    engine, told = build(steps=9, evaluate_every_steps=None)  # 50 examples are 3.1 steps of 16
    if judge:
        engine.judge = Judge(metrics=lambda name: {}, by=None)
    engine.train()
    assert _steps(told, Evaluated) == steps


def test_the_last_step_is_judged_before_it_is_saved():
    left = iter([0.1, 0.2, 0.9])
    kept = []

    def save(snapshot: Snapshot) -> str:
        kept.append(State.from_json(snapshot.state.to_json()))
        return ""

    saving = Saving(save=save, every_steps=4, every_minutes=None)
    engine, _ = build(steps=12, evaluate_every_steps=5, saving=saving)
    engine.judge = Judge(metrics=lambda name: {"worth": next(left)}, by="worth")
    engine.__attrs_post_init__()
    engine.train()
    assert (kept[-1].step, kept[-1].best.step, kept[-1].best.value) == (12, 12, 0.9)


def test_a_stop_waits_until_its_step_is_judged():
    """So that a resumed run, which goes on behind that step, has judged as many as one that was never stopped."""
    engine, _, kept = _judged([0.1, 0.3, 0.2, 0.5])
    watch = engine.observers[0]

    def stop(event) -> None:
        watch(event)
        if isinstance(event, Stepped) and event.step == 4:
            signal.raise_signal(signal.SIGTERM)

    engine.observers = [stop]
    with pytest.raises(Interrupted):
        engine.train()
    assert kept[-1].state.step == 4
    assert (kept[-1].state.best.step, kept[-1].state.best.value) == (4, 0.5)
