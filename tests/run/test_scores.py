"""Metrics and their intervals, beside scikit-learn's metrics and an exact resampling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from torch import nn

import lmkit
from lmkit.interfaces import Encoder, Objective, Task, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.run.scores import scored


class Share(Task):
    """Its answers are right or wrong; its metric is the share of right ones, weighted by how long a row is."""

    name = "share"
    reads: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, config: Any, tokenizer: Tokenizer | None) -> None: ...

    def build_objective(self, labels: Sequence[str]) -> Objective[Any]:
        raise NotImplementedError

    def examples(self, row: Row) -> Iterator[Any]:
        raise NotImplementedError

    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        raise NotImplementedError

    def tally(self, prediction: Any, row: Row) -> Mapping[str, float]:
        if "gold" not in row:
            return {}
        return {"length": row["length"], "right": row["length"] * (prediction == row["gold"])}

    def score(self, total: Mapping[str, float]) -> Mapping[str, float]:
        return {"share": total["right"] / total["length"]} if total.get("length") else {}


def answers(count: int, seed: int) -> tuple[list[Row], list[bool]]:
    rng = np.random.default_rng(seed)
    made: list[Row] = [{"gold": True, "length": float(n)} for n in rng.integers(1, 9, count)]
    return made, [bool(right) for right in rng.random(count) < 0.7]


def test_intervals_are_those_of_an_ordinary_bootstrap() -> None:
    made, said = answers(400, 1)
    scores = scored(Share(None, None), made, said)
    length = np.array([row["length"] for row in made])
    right = length * np.array(said)
    chosen = np.random.default_rng(2).integers(0, 400, (4000, 400))
    low, high = np.percentile(right[chosen].sum(1) / length[chosen].sum(1), [2.5, 97.5])
    assert scores.metrics() == {"share": right.sum() / length.sum()}
    assert scores.intervals()["share"] == pytest.approx([low, high], abs=0.01)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = 0
    for seed in range(60):
        low, high = scored(Share(None, None), *answers(150, seed)).intervals()["share"]
        held += low <= 0.7 <= high
    assert 50 <= held <= 60, "of 60 intervals of 95 %, 57 should hold it"


def test_rows_without_gold_or_answer_are_counted_apart() -> None:
    made, said = answers(3, 1)
    scores = scored(Share(None, None), [*made, {}, {"gold": True}], [*said, True, {"error": "unreadable"}])
    assert (scores.rows, scores.scored, scores.unread) == (5, 3, 1)
    with pytest.raises(lmkit.DataError, match="none of 1 rows has the gold answer that task share scores"):
        scored(Share(None, None), [{}], [True]).metrics()
