"""The loop: what changes a run's numbers, and what must not."""

from __future__ import annotations

import os
import signal

import attrs
import pytest
import torch

from lmkit.engine.events import Alarm, Evaluated, Finished, Saved, Started, Stepped
from lmkit.engine.loop import Engine
from lmkit.engine.saving import Saving
from lmkit.engine.state import Snapshot, State
from lmkit.errors import Interrupted, TrainingAlarm
from tests.engine.tiny import VOCABULARY, Copy, Source, build, collate, weights_of


def _copied(snapshot: Snapshot) -> Snapshot:
    state = State.from_json(snapshot.state.to_json())
    return Snapshot(
        state=state, tensors={f: {n: t.clone() for n, t in ts.items()} for f, ts in snapshot.tensors.items()}
    )


def _assert_equal(engine: Engine, other: Engine) -> None:
    mine, theirs = weights_of(engine), weights_of(other)
    assert mine.keys() == theirs.keys()
    for name, weight in mine.items():
        assert torch.equal(weight, theirs[name]), name


def test_a_run_learns_and_tells_every_step():
    engine, told = build(steps=60)
    engine.train()
    steps = told.of(Stepped)
    assert [s.step for s in steps] == list(range(1, 61))
    assert steps[-1].loss < 0.2 * steps[0].loss
    assert steps[-1].tokens == 60 * 128
    assert told.of(Started)[0].parameters == sum(p.numel() for p in engine.model.parameters())
    assert told.of(Finished)[0].reason == "done"
    assert all(s.loss == pytest.approx(s.terms["odd"] + 0.5 * s.terms["even"], rel=1e-6) for s in steps)


@pytest.mark.parametrize("micro", [8, 32, 64])
def test_step_does_not_depend_on_the_split(micro):
    whole, told_whole = build(steps=5)
    whole.train()
    split, told_split = build(steps=5, micro_batch_tokens=micro)
    split.train()
    for one, other in zip(told_whole.of(Stepped), told_split.of(Stepped), strict=True):
        assert other.loss == pytest.approx(one.loss, abs=1e-6)
        assert other.grad_norm == pytest.approx(one.grad_norm, abs=1e-6)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("workers", [0, 2])
def test_resume_equals_the_uninterrupted_run_bit_for_bit(optimizer, dropout, workers):
    kept: dict[int, Snapshot] = {}

    def save(snapshot: Snapshot) -> str:
        kept[snapshot.state.step] = _copied(snapshot)
        return "memory"

    saving = Saving(save=save, every_steps=2, every_minutes=None)
    setting = {"optimizer": optimizer, "data_workers": workers, "ema": 0.9}
    whole, told = build(dropout=dropout, steps=6, saving=saving, **setting)
    whole.train()
    assert sorted(kept) == [2, 4, 6]
    for step in (2, 4):
        again, told_again = build(dropout=dropout, model=Copy(dropout), steps=6, **setting)
        again.restore(kept[step].state, kept[step].tensors)
        again.train()
        _assert_equal(again, whole)
        assert [s.loss for s in told_again.of(Stepped)] == [s.loss for s in told.of(Stepped)][step:]
        for name, mean in again.average.tensors.items():
            assert torch.equal(mean, whole.average.tensors[name])


def test_dropout_differs_between_steps_and_micro_batches_but_not_between_runs():
    seen = []

    class Watching(Copy):
        def forward(self, batch):
            if self.training and torch.is_grad_enabled():
                seen.append(torch.rand(1).item())
            return super().forward(batch)

    torch.manual_seed(0)
    engine, _ = build(model=Watching(0.1), steps=3, micro_batch_tokens=64)
    engine.train()
    assert len(seen) == 6 == len(set(seen))
    first = list(seen)
    seen.clear()
    torch.manual_seed(99)  # what the caller's generator holds does not matter
    engine, _ = build(model=Watching(0.1), steps=3, micro_batch_tokens=64)
    engine.train()
    assert seen == first


def test_training_leaves_the_callers_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    engine, _ = build(model=Copy(0.1), steps=2)
    torch.manual_seed(7)
    engine.train()
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("micro", [8, 40, 128])
def test_validation_does_not_depend_on_the_batch_size(micro):
    engine, told = build(steps=1, learning_rate=0.0, matrix_learning_rate=0.0, batch_tokens=micro)
    engine.train()
    tokens = torch.tensor([t for e in Source().examples(1000, 21) for t in e.tokens])
    with torch.no_grad():
        odd = engine.model(collate(Source().examples(1000, 21), None))["odd"] / (tokens % 2 == 1).sum()
    [result] = told.of(Evaluated)
    assert result.terms["odd"] == pytest.approx(float(odd), abs=1e-6)


def _poisoned(batch_number: int, poison: float):
    """A collate whose n-th training batch makes the loss `poison`."""
    made = []

    def poisoned(examples, progress):
        batch = collate(examples, progress)
        if progress is not None:
            made.append(examples[0].key)
        return batch

    class Poisoned(Copy):
        calls = 0

        def forward(self, batch):
            sums = super().forward(batch)
            if self.training and torch.is_grad_enabled():
                Poisoned.calls += 1
                if Poisoned.calls == batch_number:
                    return {**sums, "odd": sums["odd"] * poison}
            return sums

    torch.manual_seed(0)
    return Poisoned(0.0)


def test_nan_stops_unapplied_and_names_step_and_batch():
    saved = []
    saving = Saving(save=lambda s: saved.append(_copied(s)) or "memory", every_steps=None, every_minutes=None)
    engine, told = build(model=_poisoned(4, float("nan")), steps=8, saving=saving)
    with pytest.raises(TrainingAlarm) as raised:
        engine.train()
    assert str(raised.value) == (
        "step 4: the loss is nan (examples 48 to 63 of the run); not applied, the run stops. "
        "Lower train.learning_rate, look at the batch, or set train.skip_bad_steps and resume."
    )
    [alarm] = told.of(Alarm)
    assert alarm.step == 4
    assert alarm.examples == [(1, 0, 48), (1, 0, 49)] + [(1, p // 50, p % 50) for p in range(50, 64)]
    assert engine.state.step == 3
    assert [s.state.step for s in saved] == [3]
    assert all(torch.isfinite(w).all() for w in saved[0].tensors["model"].values())
    last = told.of(Stepped)[-1]
    assert last.step == 4
    assert last.loss != last.loss  # as it was, not hidden
    assert not last.applied
    assert told.of(Finished)[0].reason == "alarm"


def test_a_skipped_bad_step_is_not_applied_and_the_run_goes_on():
    engine, told = build(model=_poisoned(4, float("inf")), steps=8, skip_bad_steps=1)
    before = []
    engine.observers = [
        *engine.observers,
        lambda e: before.append(weights_of(engine)) if isinstance(e, Stepped) else None,
    ]
    engine.train()
    assert [s.applied for s in told.of(Stepped)] == [True] * 3 + [False] + [True] * 4
    assert all(torch.equal(before[2][n], before[3][n]) for n in before[2])
    assert not torch.equal(before[3]["out.weight"], before[4]["out.weight"])
    assert engine.state.skipped == 1


def test_a_spike_stops_the_run():
    engine, told = build(model=_poisoned(30, 50.0), steps=40)
    with pytest.raises(
        TrainingAlarm, match=r"^step 30: the loss jumped to \d+\.\d+, \d+\.\d times the median of the last 29"
    ):
        engine.train()
    engine, told = build(model=_poisoned(30, 50.0), steps=40, spike=0)
    engine.train()
    assert len(told.of(Stepped)) == 40


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_leaves(number):
    saved = []
    saving = Saving(save=lambda s: saved.append(s.state.step) or "memory", every_steps=None, every_minutes=None)
    engine, told = build(steps=1000, saving=saving)
    engine.observers = [
        *engine.observers,
        lambda e: os.kill(os.getpid(), number) if isinstance(e, Stepped) and e.step == 5 else None,
    ]
    handler = signal.getsignal(number)
    with pytest.raises(Interrupted, match=f"^stopped by {number.name} after step 5; everything is saved$"):
        engine.train()
    assert saved == [5]
    assert told.of(Finished)[0].reason == "interrupted"
    assert signal.getsignal(number) == handler


def test_a_signal_during_validation_does_not_wait_for_its_end():
    class Slow(Copy):
        def forward(self, batch):
            if not self.training and not self.told:
                self.told = True
                os.kill(os.getpid(), signal.SIGTERM)
            return super().forward(batch)

    model = Slow(0.0)
    model.told = False
    engine, told = build(model=model, steps=10, evaluate_every_steps=2, batch_tokens=16)
    with pytest.raises(Interrupted):
        engine.train()
    assert not told.of(Evaluated)
    assert engine.state.step == 2


def test_budgets_in_tokens_epochs_and_minutes_end_where_they_say():
    engine, told = build(tokens=1000)  # 8 steps of 128
    engine.train()
    assert engine.state.step == 8
    engine, told = build(epochs=2)  # 100 examples, 16 a step
    engine.train()
    assert engine.state.step == 7
    engine, told = build(minutes=0.005)
    engine.train()
    assert 0.3 <= engine.state.seconds < 1.5
    assert told.of(Stepped)[-1].learning_rate < told.of(Stepped)[len(told.of(Stepped)) // 3].learning_rate


def test_batch_warmup_starts_with_an_eighth():
    engine, told = build(steps=20, batch_warmup=0.5, micro_batch_tokens=8)
    engine.train()
    tokens = [b.tokens - a.tokens for a, b in zip(told.of(Stepped), told.of(Stepped)[1:], strict=False)]
    assert told.of(Stepped)[0].tokens == 16
    assert tokens == sorted(tokens)
    assert tokens[-1] == 128


def test_averaged_weights_are_validated_and_the_trained_ones_kept():
    engine, told = build(steps=30, ema=0.9)
    engine.train()
    before = weights_of(engine)
    with engine.average.applied():
        averaged = weights_of(engine)
        batch = collate(Source().examples(1000, 21), None)
        with torch.no_grad():
            loss = engine.model.eval()(batch)
    after = weights_of(engine)
    assert all(torch.equal(before[n], after[n]) for n in before)
    assert not torch.equal(before["out.weight"], averaged["out.weight"])
    [result] = told.of(Evaluated)
    assert result.terms["odd"] == pytest.approx(float(loss["odd"]) / batch.counts["odd"], abs=1e-6)


def test_saving_follows_steps_and_minutes():
    saved = []
    saving = Saving(save=lambda s: saved.append(s.state.step) or "memory", every_steps=4, every_minutes=None)
    engine, told = build(steps=10, saving=saving)
    engine.train()
    assert saved == [4, 8, 10] == [e.step for e in told.of(Saved)]
    saved.clear()
    saving = Saving(save=lambda s: saved.append(s.state.step) or "memory", every_steps=None, every_minutes=1e-9)
    build(steps=3, saving=saving)[0].train()
    assert saved == [1, 2, 3]


def test_an_extended_run_goes_on_from_its_end():
    short, _ = build(steps=3)
    short.train()
    longer, told = build(model=Copy(0.0), steps=5)
    snapshot = _copied(short.snapshot())
    longer.restore(snapshot.state, snapshot.tensors)
    longer.train()
    assert [s.step for s in told.of(Stepped)] == [4, 5]


def test_a_state_is_json_and_back():
    engine, _ = build(steps=2)
    engine.train()
    state = engine.state
    assert State.from_json(state.to_json()) == state
    assert attrs.evolve(state, step=9).to_json()["step"] == 9
    assert VOCABULARY == 17
