"""Answers are computed in the precision that is asked for; what is generated and likelihoods are exact always."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import lmkit
from tests.run.recipes import recipe

TEXT = "Robin Hood in the greenwood stood"


@pytest.fixture(scope="module")
def both(trained: dict[str, lmkit.Run]) -> Callable[[str], tuple[lmkit.Run, lmkit.Run]]:
    """A run in fp32 and in bf16, which any processor can compute in, quickly or not."""
    return lambda kind: tuple(lmkit.load(trained[kind].folder, precision=p) for p in ("fp32", "bf16"))  # type: ignore[return-value]


def test_answers_in_bf16_are_near_and_not_the_same(both: Callable[[str], tuple[lmkit.Run, lmkit.Run]]) -> None:
    exact, rounded = (run.fill("Robin [MASK] in the wood", top_k=3) for run in both("mlm"))
    mine, other = _numbers(exact), _numbers(rounded)
    assert mine
    assert mine != other
    assert mine == pytest.approx(other, abs=0.02)


def test_what_is_generated_and_likelihoods_are_exact(both: Callable[[str], tuple[lmkit.Run, lmkit.Run]]) -> None:
    exact, rounded = both("clm")
    drawn = [run.complete(TEXT, max_new_tokens=12, temperature=0.9) for run in (exact, rounded)]
    assert drawn[0] == drawn[1]
    rows = [{"good": TEXT, "bad": "Robin Hood greenwood in the stood"}]
    judged = [list(run.predict(rows, task="minimal-pairs")) for run in (exact, rounded)]
    assert judged[0] == judged[1]
    assert torch.equal(exact.encode([TEXT]).hidden, rounded.encode([TEXT]).hidden)


def test_several_pieces_of_a_word_are_judged_exactly(both: Callable[[str], tuple[lmkit.Run, lmkit.Run]]) -> None:
    exact, rounded = (run.fill("Robin [MASK] in the wood", pieces=2) for run in both("mlm"))
    assert exact == rounded


def test_no_precision_is_left_on_or_taken_over(both: Callable[[str], tuple[lmkit.Run, lmkit.Run]]) -> None:
    exact, rounded = both("mlm")
    wanted = list(exact.predict(["Robin [MASK]", "the [MASK] wood"]))
    within: list[Any] = []

    def asked() -> Iterator[dict[str, str]]:
        """Rows for the one, made while the other answers."""
        within.extend(exact.predict(["Robin [MASK]", "the [MASK] wood"]))
        yield {"text": "Robin [MASK]"}

    for _ in rounded.predict(asked()):
        assert not torch.is_autocast_enabled("cpu")
    assert within == wanted
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_that_of_the_training_where_the_machine_has_it(
    tmp_path: Path, book: Path, monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    run = lmkit.pretrain(recipe("mlm", book, steps=1, precision="bf16"), run=tmp_path / "run", quiet=True)
    module = sys.modules["lmkit.run.load"]  # whose name in the package is that of its function
    monkeypatch.setattr(module, "computes_in_bf16", lambda _: native)
    assert lmkit.load(run.folder).precision == ("bf16" if native else "fp32")
    assert lmkit.load(run.folder, precision="fp32").precision == "fp32"
    with pytest.raises(lmkit.ConfigError, match='expected "auto", "fp32" or "bf16", got \'fp16\''):
        lmkit.load(run.folder, precision="fp16")  # type: ignore[arg-type]


def _numbers(answer: Any) -> list[float]:
    if isinstance(answer, dict):
        return [number for value in answer.values() for number in _numbers(value)]
    if isinstance(answer, list):
        return [number for value in answer for number in _numbers(value)]
    return [answer] if isinstance(answer, float) else []
