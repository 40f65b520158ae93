"""Schedules are pure functions of what is spent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkit.engine.schedule import Schedule
from lmkit.engine.settings import Training


def _schedule(**settings: object) -> Schedule:
    budget = {} if {"tokens", "epochs", "minutes"} & settings.keys() else {"steps": 100}
    return Schedule.of(Training(**{**budget, **settings}), epoch_examples=1000, example_tokens=128)  # 64 a step


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wsd", [0.5, 1.0, 1.0, 1.0, 0.5, 0.0]),
        ("linear", [0.5, 1.0, 0.8333, 0.5556, 0.2778, 0.0]),
        ("cosine", [0.5, 1.0, 0.9330, 0.5868, 0.1786, 0.0]),
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_learning_rates_at_chosen_points(name, expected):
    schedule = _schedule(schedule=name, warmup=0.1, cooldown=0.5)
    points = [0.05, 0.1, 0.25, 0.5, 0.75, 1.0]
    assert [schedule.learning_rate(p) for p in points] == pytest.approx(expected, abs=1e-4)


@given(
    name=st.sampled_from(["wsd", "linear", "cosine", "constant"]),
    warmup=st.floats(0, 1),
    cooldown=st.floats(0, 1),
    progress=st.floats(0, 1),
)
def test_learning_rate_is_a_share_of_the_peak(name, warmup, cooldown, progress):
    assert 0 <= _schedule(schedule=name, warmup=warmup, cooldown=cooldown).learning_rate(progress) <= 1


def test_the_first_step_is_not_lost():
    assert _schedule(warmup=0.1).learning_rate(0.0) > 0


def test_progress_in_each_unit():
    spent = {"step": 25, "position": 3000, "seconds": 30.0}
    assert _schedule().progress(**spent) == 0.25
    assert _schedule(epochs=6).progress(**spent) == 0.5
    assert _schedule(tokens="1.28M").progress(**spent) == 0.3
    assert _schedule(minutes=2).progress(**spent) == 0.25
    assert _schedule(minutes=0.25).progress(**spent) == 1.0


@given(progress=st.floats(0, 1), share=st.floats(0.01, 1), micro=st.sampled_from([1, 4, 16, 64]))
def test_a_warming_batch_is_whole_micro_batches(progress, share, micro):
    examples = _schedule(batch_warmup=share).batch_examples(progress, micro)
    assert micro <= examples <= 64
    assert examples % micro == 0


def test_a_warm_up_of_endless_steps_is_not_counted():
    assert _schedule(tokens="1T", batch_warmup=1.0).steps(0, 0, 1) is None


@given(epochs=st.floats(0.01, 9), share=st.floats(0, 1), micro=st.sampled_from([1, 4, 64]), made=st.integers(0, 30))
def test_the_steps_of_a_budget_are_those_that_are_made(epochs, share, micro, made):
    schedule = _schedule(epochs=epochs, batch_warmup=share)
    step, position, then = 0, 0, (0, 0)
    while (spent := schedule.progress(step=step, position=position, seconds=0.0)) < 1:
        step, position = step + 1, position + schedule.batch_examples(spent, micro)
        then = (step, position) if step <= made else then
    assert schedule.steps(*then, micro) == step
    assert _schedule(minutes=1).steps(0, 0, micro) is None
    assert _schedule(steps=7).steps(0, 0, micro) == 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "wanted exactly one budget of steps, tokens, epochs and minutes, got none of them"),
        (
            {"steps": 5, "minutes": 2},
            "wanted exactly one budget of steps, tokens, epochs and minutes, got steps and minutes",
        ),
        ({"tokens": "10 parsecs"}, "tokens: expected a number such as 5000000 or \"5M\", got '10 parsecs'"),
        ({"steps": 1, "batch_tokens": 1000}, "batch_tokens 1000 is not a multiple of block_tokens 128"),
        (
            {"steps": 1, "micro_batch_tokens": 5000},
            "micro_batch_tokens 5000 must be a multiple of block_tokens 128 that divides batch_tokens 8192",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError) as raised:
        Training(**settings)
    assert str(raised.value) == message


@pytest.mark.parametrize(("text", "tokens"), [("10M", 10_000_000), ("1.5k", 1500), (2048, 2048), ("2_000", 2000)])
def test_tokens_are_read_as_people_write_them(text, tokens):
    assert Training(tokens=text).budget_tokens() == tokens
