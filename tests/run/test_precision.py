"""Answers are computed in the precision that is asked for; what is generated and likelihoods are exact always."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

import lmkit
from tests.run.recipes import recipe

TEXT = "Robin Hood in the greenwood stood"


@pytest.fixture(scope="module")
def both(trained: dict[str, lmkit.Run]) -> Callable[[str], tuple[lmkit.Run, lmkit.Run]]:
    """A run in fp32 and in bf16, which any processor can compute in, quickly or not."""

    def load(kind: str) -> tuple[lmkit.Run, lmkit.Run]:
        folder = trained[kind].folder
        return lmkit.load(folder, precision="fp32"), lmkit.load(folder, precision="bf16")

    return load


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


def test_rows_are_scored_by_the_answers_of_that_precision(bert: lmkit.Run, tmp_path: Path) -> None:
    rows = [{"text": f"The {'old' if n % 2 else 'young'} man {n}", "label": float(n % 2)} for n in range(30)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task: Any = {
        "task": {"use": "regression"},
        "data": {"train": [str(tmp_path / "rows.jsonl")]},
        "train": {"steps": 2},
    }
    tuned = lmkit.finetune(bert, task, run=tmp_path / "run", quiet=True)
    both: tuple[Literal["fp32", "bf16"], ...] = ("fp32", "bf16")
    found = [lmkit.evaluate(tuned.folder, rows=rows, precision=one)["rows"] for one in both]
    assert found == [lmkit.evaluate(lmkit.load(tuned.folder, precision=one), rows=rows)["rows"] for one in both]
    assert found[0] != found[1]


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_that_of_the_training_where_the_machine_has_it(
    tmp_path: Path, book: Path, monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    run = lmkit.pretrain(recipe("mlm", book, steps=1, precision="bf16"), run=tmp_path / "run", quiet=True)
    module = sys.modules["lmkit.run.load"]  # whose name in the package is that of its function
    monkeypatch.setattr(module, "computes_in_bf16", lambda _: native)
    assert lmkit.load(run.folder).precision == ("bf16" if native else "fp32")
    assert lmkit.load(run.folder, precision="fp32").precision == "fp32"
    other: Any = "fp16"
    with pytest.raises(lmkit.ConfigError, match='expected "auto", "fp32" or "bf16", got \'fp16\''):
        lmkit.load(run.folder, precision=other)


def _numbers(answer: Any) -> list[float]:
    if isinstance(answer, dict):
        return [number for value in answer.values() for number in _numbers(value)]
    if isinstance(answer, list):
        return [number for value in answer for number in _numbers(value)]
    return [answer] if isinstance(answer, float) else []
