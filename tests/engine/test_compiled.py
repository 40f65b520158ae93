"""What torch.compile builds is used where it computes the same; else training goes on without it, or says why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import torch

from lmkit.engine.events import Alarm, Stepped
from lmkit.errors import FitError
from tests.engine.tiny import build, weights_of


def broken(model: Any, **_: Any) -> Callable[..., Any]:
    def run(_: Any) -> Any:
        raise AssertionError("no such wrapper\nand many lines more")

    return run


def not_a_number(model: Any, **_: Any) -> Callable[..., Any]:
    """Losses are right, and one gradient is not, as inductor once did."""

    def run(batch: Any) -> Any:
        losses = model(batch)
        return {**losses, "odd": losses["odd"] + (model.hidden.bias * 0).sqrt().sum()}

    return run


def another_loss(model: Any, **_: Any) -> Callable[..., Any]:
    return lambda batch: {name: 1.2 * loss for name, loss in model(batch).items()}


WRONG = {
    broken: r"torch\.compile cannot build this model: AssertionError: no such wrapper;",
    not_a_number: r"built computes a loss of .* and a gradient as long as (nan|inf), the model itself",
    another_loss: "built computes a loss of",
}


@pytest.mark.parametrize("compiler", WRONG)
def test_a_step_that_computes_something_else_is_not_used(compiler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, _ = build()
    plain.train()
    monkeypatch.setattr(torch, "compile", compiler)
    engine, seen = build(compile="auto")
    engine.choices = attrs.evolve(engine.choices, compile=True)
    engine.train()
    [alarm] = seen.of(Alarm)
    assert alarm.message.endswith("training goes on without it")
    assert len(seen.of(Stepped)) == 6
    assert all(torch.equal(weight, weights_of(plain)[name]) for name, weight in weights_of(engine).items())
    engine, seen = build(compile="on")
    engine.choices = attrs.evolve(engine.choices, compile=True)
    with pytest.raises(FitError, match=WRONG[compiler]):
        engine.train()
    assert not seen.of(Stepped)


def test_a_batch_that_is_to_blame_itself_is_told_by_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda model, **_: model)
    engine, seen = build(compile="auto", skip_bad_steps=10)
    engine.choices = attrs.evolve(engine.choices, compile=True)
    with torch.no_grad():
        engine.model.embedding.weight[0] = torch.nan
    engine.train()
    assert all("is nan" in alarm.message or "not a number" in alarm.message for alarm in seen.of(Alarm))
