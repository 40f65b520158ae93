"""Embeddings of runs that were really pre-trained, and of one that was fine-tuned on pairs."""

import json
from pathlib import Path

import pytest

import lmkit

TRAIN = {"precision": "fp32", "compile": "off", "threads": 1, "evaluate_every_steps": 0}
ALIKE = [("good", "kind"), ("bad", "ill"), ("man", "king")]


@pytest.mark.parametrize("kind", ["mlm", "clm"])
def test_a_pre_trained_run_embeds_and_finds_itself_among_texts(
    trained: dict[str, lmkit.Run], tmp_path: Path, kind: str
) -> None:
    texts = ["Robin drew his bow", "The King of England", "a merry feast"]
    [answer] = trained[kind].embed([texts[1]], among=texts, neighbours=2)
    assert len(answer["embedding"]) == trained[kind].module.encoder.width
    assert answer["neighbours"][0] == {"text": texts[1], "similarity": pytest.approx(1)}
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    again = trained[kind].embed(texts[1], among=str(tmp_path / "texts.txt"), neighbours=2)
    assert [n["text"] for n in again["neighbours"]] == [n["text"] for n in answer["neighbours"]]


def test_it_learns_which_texts_are_alike(tmp_path: Path, trained: dict[str, lmkit.Run]) -> None:
    rows = []
    for number in range(36):
        one, other = ALIKE[number % 3], ALIKE[(number + number // 3 % 2) % 3]
        pair = {"text": f"The {one[0]} of {number}", "pair": f"The {other[1]} of {number}"}
        rows.append({**pair, "similarity": 5 if one == other else 0})
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "task": {"use": "embedding", "highest": 5},
        "data": {"train": [str(path)], "validation": 0.2},
        "train": {**TRAIN, "steps": 80, "batch_tokens": 512, "learning_rate": 0.01, "matrix_learning_rate": 0.02},
    }
    run = lmkit.finetune(trained["mlm"], recipe, run=tmp_path / "run", quiet=True)
    assert lmkit.evaluate(run, rows=path)["rows"]["pearson"] > 0.8
    answer = run.embed("The good of 3", among=["The kind of 3", "The ill of 3", "The king of 3"], neighbours=1)
    assert answer["neighbours"][0]["text"] == "The kind of 3"
