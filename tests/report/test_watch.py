"""What is said of a curve: of one that is flat, one that rises, and of data that comes too late."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import pytest

from lmkit.engine.events import Alarm, Event, Stepped
from lmkit.report.watch import Watch
from tests.report.events import started


def said(
    losses: Iterable[float], *, fresh: bool = True, waited: float = 0.0, silent: Mapping[int, float] | None = None
) -> list[str]:
    told: list[Event] = []
    watch = Watch(told.append, fresh=fresh)
    for step, loss in enumerate(losses, 1):
        watch(
            Stepped(
                step=step,
                tokens=step,
                seconds=step / 10,
                waited=waited,
                progress=0.0,
                loss=loss,
                terms={},
                grad_norm=1.0,
                learning_rate=0.1,
                tokens_per_second=1.0,
                model_flops_utilization=None,
                silent=(silent or {}).get(step),
            )
        )
    assert all(isinstance(event, Alarm) for event in told)
    return [event.message for event in told if isinstance(event, Alarm)]


def falling(steps: int) -> list[float]:
    return [3 + 6 * math.exp(-step / 150) for step in range(steps)]


def of_steps(steps: int | None, budget: str, *, step: int = 0) -> list[str]:
    told: list[Event] = []
    minutes = 3.0 if budget == "minutes" else None
    Watch(told.append, fresh=True)(started(step=step, steps=steps, minutes=minutes, budget=budget))
    return [event.message for event in told if isinstance(event, Alarm)]


def test_a_budget_of_few_steps_is_told() -> None:
    assert of_steps(1, "epochs") == [
        "the whole budget is 1 step, hardly enough to learn by: lower train.batch_tokens, or raise train.epochs"
    ]
    assert of_steps(19, "tokens")
    assert not of_steps(20, "epochs")
    assert not of_steps(5, "steps")  # who counts steps knows them
    assert not of_steps(5, "epochs", step=2)  # told when it began
    assert not of_steps(None, "minutes")


def test_a_loss_that_falls_is_left_alone() -> None:
    assert said(falling(2000)) == []


def test_a_loss_that_does_not_fall_is_told_once() -> None:
    [message] = said([9.01] * 1000)
    assert message.startswith(
        "step 400: after 400 steps the loss is 9.01, and was 9.01 at first: it hardly falls. Try "
    )
    assert said([3.01] * 1000, fresh=False) == []  # weights that were trained before have no need to


def test_a_loss_that_rises_is_told_once() -> None:
    [message] = said([*falling(1000), *[4.0] * 300])
    assert message.startswith("step 1,100: the loss has risen to 4, from 3.0")


@pytest.mark.parametrize(("waited", "times"), [(0.01, 0), (0.04, 1)])
def test_waiting_for_data_is_told_where_it_takes_a_quarter_of_the_time(waited: float, times: int) -> None:
    messages = said(falling(500), waited=waited)
    assert len(messages) == times
    assert all("by train.data_workers" in message for message in messages)


@pytest.mark.parametrize(
    ("silent", "times"), [({100: 0.6}, 0), ({100: 0.6, 200: 0.4, 300: 0.6}, 0), ({100: 0.6, 200: 0.6, 300: 0.6}, 1)]
)
def test_units_without_a_gradient_are_told_when_they_stay_so(silent: dict[int, float], times: int) -> None:
    messages = said(falling(500), silent=silent)
    assert len(messages) == times
    assert all(message.startswith("step 200: 60% of a layer's units get no gradient") for message in messages)
