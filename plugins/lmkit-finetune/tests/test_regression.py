"""Regression: its promises, metrics beside numpy's, and numbers that are refused."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lmkit_finetune.correlation import pair_sums, pearson
from lmkit_finetune.regress import Regress
from lmkit_finetune.regression import Regression

from lmkit.batch import Example
from lmkit.errors import DataError
from lmkit.testing import TEXTS, Check, conformance
from lmkit.testing.reference import ByteTokenizer

TOKENIZER = ByteTokenizer.train(ByteTokenizer.Config(), ())
ROWS = [{"text": text, "label": n % 4 / 3} for n, text in enumerate(TEXTS)]
STARS = [{"first": text, "second": text[::-1], "stars": str(n % 5 - 100)} for n, text in enumerate(TEXTS)]
RANGE: dict[str, Any] = {"lowest": -100.0, "highest": -96.0}
PAIRS: dict[str, Any] = {"column": "first", "pair_column": "second", "label_column": "stars", **RANGE}


def examples(lowest: float = 0.0, highest: float = 1.0) -> list[Example]:
    made = []
    for number, text in enumerate(TEXTS):
        tokens = TOKENIZER.wrap(TOKENIZER.encode(text).ids[: 9 + number]).ids
        target = lowest + (number % 4) * (highest - lowest) / 3
        made.append(Example(tokens=tokens, lengths=(len(tokens),), target=target, key=(1, 0, number)))
    return made


@pytest.mark.parametrize("check", conformance(Regress, Regress.Config(dropout=0.0), examples=examples()))
def test_regress_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check",
    conformance(
        Regress,
        Regress.Config(dropout=0.0, pooling="mean", attention="causal", lowest=1e4, highest=1e6),
        examples=examples(1e4, 1e6),
    ),
)
def test_regress_of_large_numbers_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check",
    conformance(
        Regression,
        Regression.Config(dropout=0.0),
        rows=ROWS,
        right=lambda answer, row: abs(answer["value"] - row["label"]) < 0.2,
    ),
)
def test_regression_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check",
    conformance(
        Regression,
        Regression.Config(dropout=0.0, pooling="mean", attention="causal", metric="pearson", **PAIRS),
        rows=STARS,
        right=lambda answer, row: abs(answer["value"] - float(row["stars"])) < 0.8,
    ),
)
def test_regression_of_pairs_conforms(check: Check) -> None:
    check()


def total_of(task: Regression, found: Any, gold: Any) -> dict[str, float]:
    total: dict[str, float] = {}
    for value, right in zip(found, gold, strict=True):
        tally = task.tally({"value": float(value)}, {"label": float(right)})
        total = {name: total.get(name, 0.0) + part for name, part in tally.items()}
    return total


@pytest.mark.parametrize(("lowest", "highest"), [(0.0, 1.0), (-5.0, 5.0), (1e6, 1.1e6)])
def test_metrics_are_those_of_numpy(lowest: float, highest: float) -> None:
    rng = np.random.default_rng(1)
    gold = lowest + rng.random(50) * (highest - lowest)
    found = gold + rng.normal(0, 0.2 * (highest - lowest), 50)
    task = Regression(Regression.Config(lowest=lowest, highest=highest), TOKENIZER)
    metrics = task.score(total_of(task, found, gold))
    assert metrics == pytest.approx(
        {
            "rmse": np.sqrt(np.mean((found - gold) ** 2)),
            "mae": np.abs(found - gold).mean(),
            "pearson": np.corrcoef(found, gold)[0, 1],
            "r2": 1 - ((found - gold) ** 2).sum() / ((gold - gold.mean()) ** 2).sum(),
        },
        rel=1e-9,
    )
    assert task.score({}) == {}


NUMBERS = st.lists(st.tuples(st.floats(-1, 2), st.floats(0, 1)), min_size=1, max_size=20)


@given(pairs=NUMBERS)
@example(pairs=[(0.0, 0.0), (3e-135, 3e-135)])
def test_a_correlation_is_a_number_whatever_the_numbers(pairs: list[tuple[float, float]]) -> None:
    total: dict[str, float] = {}
    for found, gold in pairs:
        total = {name: total.get(name, 0.0) + part for name, part in pair_sums(found, gold).items()}
    assert -1 <= pearson(total) <= 1
    same = dict(total)
    for name, part in pair_sums(pairs[0][0], pairs[0][1]).items():
        same[name] = 3 * part
    assert pearson(same) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_is_never_a_perfect_score(bad: float) -> None:
    task = Regression(Regression.Config(), TOKENIZER)
    total: dict[str, float] = {}
    for found, gold in ((bad, 0.5), (0.4, 0.7)):
        tally = task.tally({"value": found}, {"text": "a", "label": gold})
        total = {name: total.get(name, 0.0) + part for name, part in tally.items()}
    found = task.score(total)
    assert math.isnan(found["r2"])
    assert math.isnan(found["pearson"])
    assert not math.isfinite(found["rmse"])


def test_a_row_without_a_number_is_not_scored() -> None:
    task = Regression(Regression.Config(), TOKENIZER)
    assert [task.tally({"value": 0.5}, {"text": "a", **more}) for more in ({}, {"label": None}, {"label": ""})] == [
        {}
    ] * 3


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "", "label": 0.5}, 'column "text": the text is empty'),
        ({"text": "a"}, 'no column "label"; the row has "text"'),
        ({"text": "a", "label": None}, 'column "label": wanted a number, got None'),
        ({"text": "a", "label": True}, 'column "label": wanted a number, got True'),
        ({"text": "a", "label": "many"}, "column \"label\": wanted a number, got 'many'"),
        ({"text": "a", "label": "nan"}, "nan is not from 0 to 1"),
        ({"text": "a", "label": 10**400}, "wanted a number, got 1000"),
        ({"text": "a", "label": 4.5}, "4.5 is not from 0 to 1: set lowest and highest to the ends"),
    ],
)
def test_what_is_no_number_of_the_range_is_told(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as raised:
        list(Regression(Regression.Config(), TOKENIZER).examples(row))
    assert message in str(raised.value)


def test_a_range_has_two_ends() -> None:
    with pytest.raises(ValueError, match="lowest 1 is not below highest 1"):
        Regression.Config(lowest=1.0)
