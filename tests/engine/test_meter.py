"""Units that are silent are counted, at every hundredth step."""

from __future__ import annotations

import torch

from lmkit.engine.events import Stepped
from tests.engine.tiny import build


def test_units_without_a_gradient_are_counted_at_every_hundredth_step() -> None:
    engine, recorder = build(steps=200)
    hidden = engine.model.get_submodule("hidden")
    assert isinstance(hidden, torch.nn.Linear)
    with torch.no_grad():  # a quarter of the units are never above zero, the others always
        hidden.bias[:4], hidden.bias[4:] = -1e3, 10.0
    engine.layers = [hidden]
    engine.train()
    told = {event.step: event.silent for event in recorder.of(Stepped) if event.silent is not None}
    assert told == {100: 0.25, 200: 0.25}
