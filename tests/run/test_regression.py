"""Regression on a model that is really pre-trained and fine-tuned."""

import json
from pathlib import Path

import pytest

import lmkit

TRAIN = {"precision": "fp32", "compile": "off", "threads": 1, "evaluate_every_steps": 0}
WORDS = ("bad", "ill", "good")


def test_it_learns_numbers_on_their_own_scale(tmp_path: Path, trained: dict[str, lmkit.Run]) -> None:
    path = tmp_path / "a.csv"
    lines = [f"The man of {n} men was {WORDS[n % 3]},{n % 3 * 40 + 10}" for n in range(36)]
    path.write_text("\n".join(["body,stars", *lines]) + "\n")
    recipe = {
        "task": {"use": "regression", "column": "body", "label_column": "stars", "lowest": 10, "highest": 90},
        "data": {"train": [str(path)], "validation": 0.2},
        "train": {**TRAIN, "steps": 80, "batch_tokens": 512, "learning_rate": 0.01, "matrix_learning_rate": 0.02},
    }
    run = lmkit.finetune(trained["mlm"], recipe, run=tmp_path / "run", quiet=True)
    found = lmkit.evaluate(run, rows=path)["rows"]
    assert found["r2"] > 0.8
    assert found["pearson"] > 0.9
    assert found["mae"] < 12
    assert run.rate("The man of 7 men was good")["value"] == pytest.approx(90, abs=25)
    assert json.loads(json.dumps(run.rate("The man"))).keys() == {"value"}
