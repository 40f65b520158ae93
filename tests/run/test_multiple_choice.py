"""Multiple choice on runs that were really pre-trained: with training, and without."""

import json
from pathlib import Path
from typing import Any

import pytest

import lmkit

TRAIN = {"precision": "fp32", "compile": "off", "threads": 1, "evaluate_every_steps": 0}
ANIMALS = ("man", "king", "sheriff", "friar", "miller", "cook")


def rows(count: int = 36) -> list[dict[str, Any]]:
    """Questions whose right ending says "good"; there are two or three endings."""
    made = []
    for number in range(count):
        endings = [f"he was {word} to them" for word in ("bad", "ill", "bad")[: 2 + number % 2]]
        endings[number % len(endings)] = "he was good to them"
        text = f"The {ANIMALS[number % 6]} met {number} men"
        made.append({"prompt": text, "endings": endings, "label": number % len(endings)})
    return made


def write(path: Path, made: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return str(path)


@pytest.mark.parametrize(("kind", "attention"), [("mlm", "bidirectional"), ("clm", "causal")])
def test_it_learns_which_ending_is_right(
    tmp_path: Path, trained: dict[str, lmkit.Run], kind: str, attention: str
) -> None:
    path = write(tmp_path / "a.jsonl", rows())
    recipe = {
        "task": {"use": "multiple-choice", "attention": attention, "longest": 48, "dropout": 0.0},
        "data": {"train": [path]},
        "train": {**TRAIN, "steps": 60, "batch_tokens": 512, "learning_rate": 0.01, "matrix_learning_rate": 0.02},
    }
    run = lmkit.finetune(trained[kind], recipe, run=tmp_path / "run", quiet=True)
    assert lmkit.evaluate(run, rows=path)["rows"]["accuracy"] > 0.9
    [answer] = lmkit.predict(run, rows=rows()[5:6])
    assert answer["ending"] == "he was good to them"
    assert len(answer["probabilities"]) == 3


@pytest.mark.parametrize("kind", ["mlm", "clm"])
def test_a_pre_trained_run_chooses_without_training(trained: dict[str, lmkit.Run], kind: str) -> None:
    made = [{"prompt": "Robin Hood was a", "endings": ["zq xv zq xv zq xv zq", "man"], "label": 1}]
    [answer] = lmkit.predict(trained[kind], task="multiple-choice", rows=made)
    assert answer["ending"] == "man"
    assert answer["probabilities"][1] > 0.9
