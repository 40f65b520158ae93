"""The alarm for spikes: it hardly ever rings for nothing, and a resume does not make it forget."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from lmkit.engine.alarms import SPIKE_WINDOW, what_is_wrong
from lmkit.engine.settings import Training
from lmkit.engine.state import State
from tests.faults.conftest import Cases

SPIKE = Training(steps=1).spike


def test_losses_that_fall_with_noise_ring_no_alarm(cases: Cases, measured: Callable[[str, object], None]) -> None:
    """Losses that fall from 9 to 2 as those of language models do, with ten times the noise that a step has."""
    drawn = random.Random(1)
    recent: list[float] = []
    rung = 0
    steps = cases(100_000, 100_000, 1_000_000)
    for step in range(steps):
        loss = (2 + 7 * math.exp(-step / 3000)) * math.exp(drawn.gauss(0, 0.1))
        rung += what_is_wrong(loss, 1.0, recent, SPIKE) is not None
        recent = [*recent, loss][-SPIKE_WINDOW:]
    measured("false alarms", rung)
    assert rung == 0


def test_a_loss_ten_times_as_high_rings_before_and_behind_a_resume() -> None:
    recent = [3.0 + 0.01 * n for n in range(SPIKE_WINDOW)]
    state = State.from_json(State(step=64, recent=recent).to_json())
    for window in (recent, state.recent):
        wrong = what_is_wrong(33.0, 1.0, window, SPIKE)
        assert wrong is not None
        assert wrong.startswith("the loss jumped to 33.0000")
