"""Question answering on a model that is really pre-trained and fine-tuned: what it learns, and what it refuses."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import lmkit

PEOPLE, PLACES = ("anna", "otto", "maria", "bruno"), ("paris", "rome", "lima", "oslo")
TRAIN = {"precision": "fp32", "compile": "off", "threads": 1, "evaluate_every_steps": 0}


def rows(count: int = 64, *, none: bool = False) -> list[dict[str, Any]]:
    """Who was it, and where? Where `none` may be the answer, every fourth context names nobody, or no place."""
    made = []
    for number in range(count):
        person, place = PEOPLE[number // 2 % 4], PLACES[number // 8 % 4]
        question, answer = (("who was it?", person), ("where was it?", place))[number % 2]
        context = f"the {('old', 'red')[number // 4 % 2]} fox saw {person} in {place}."
        if none and number % 4 == 3:
            context = context.replace(answer, "it")
        start = context.find(answer)
        gold = [{"text": answer, "answer_start": start}] if start >= 0 else []
        made.append({"question": question, "context": context, "answers": gold})
    return made


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> lmkit.Run:
    folder = tmp_path_factory.mktemp("bert")
    (folder / "book.txt").write_text("\n".join(f"{row['question']} {row['context']}" for row in rows()))
    recipe = {
        "tokenizer": {"use": "wordpiece", "vocab_size": 300},
        "data": {"train": [str(folder / "book.txt")], "document": "line"},
        "encoder": {"use": "bert", "layers": 1, "width": 32, "heads": 2, "positions": 64},
        "objective": {"use": "mlm"},
        "train": {**TRAIN, "steps": 20, "block_tokens": 32, "batch_tokens": 512},
    }
    return lmkit.pretrain(recipe, run=folder / "run", quiet=True)


def write(path: Path, made: Sequence[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return str(path)


def recipe(train: str, *, steps: int = 120, **task: Any) -> dict[str, Any]:
    rates = {"learning_rate": 0.01, "matrix_learning_rate": 0.02}
    return {
        "task": {"use": "question-answering", "longest": 48, "stride": 8, **task},
        "data": {"train": [train]},
        "train": {**TRAIN, **rates, "steps": steps, "batch_tokens": 512},
    }


def test_it_learns_evaluates_and_answers(tmp_path: Path, bert: lmkit.Run) -> None:
    run = lmkit.finetune(bert, recipe(write(tmp_path / "a.jsonl", rows())), run=tmp_path / "run", quiet=True)
    found = lmkit.evaluate(run, rows=tmp_path / "a.jsonl")["rows"]
    assert found["exact_match"] > 0.9
    assert found["f1"] > 0.9
    assert found["has_answer_f1"] == found["f1"]
    context = "the old fox saw Maria in Lima."
    who, where = run.predict([{"question": f"{word} was it?", "context": context} for word in ("who", "where")])
    assert (who["answer"], where["answer"]) == ("Maria", "Lima")
    assert context[where["start"] : where["end"]] == "Lima"
    [two] = run.predict([{"question": "who was it?", "context": context}], best=2)
    assert len(two["best"]) == 2
    asked = [{**row, "id": str(number)} for number, row in enumerate(rows())]
    paragraphs = [{"context": row["context"], "qas": [{**row, "context": None}]} for row in asked]
    (tmp_path / "squad.json").write_text(json.dumps({"data": [{"title": "Foxes", "paragraphs": paragraphs}]}))
    assert lmkit.evaluate(run, rows=tmp_path / "squad.json")["rows"] == found


def test_it_learns_that_there_is_no_answer(tmp_path: Path, bert: lmkit.Run) -> None:
    table = recipe(write(tmp_path / "a.jsonl", rows(none=True)), no_answer=True, steps=200)
    run = lmkit.finetune(bert, table, run=tmp_path / "run", quiet=True)
    found = lmkit.evaluate(run, rows=tmp_path / "a.jsonl")["rows"]
    assert found["has_answer_exact_match"] > 0.9
    assert found["no_answer_exact_match"] > 0.9
    [answer] = run.predict([{"question": "where was it?", "context": "the red fox saw anna in it."}], threshold=-50.0)
    assert answer["answer"] == ""


def test_a_long_context_is_learned_and_read_in_windows(tmp_path: Path, bert: lmkit.Run) -> None:
    filler = "the old fox saw the red fox. " * 20
    made = rows()
    for number, row in enumerate(made):
        shift = len(filler) * (number % 3 == 0)
        row["context"] = filler * (number % 3 == 0) + row["context"] + " " + filler * (number % 3 == 1)
        row["answers"][0]["answer_start"] += shift
    run = lmkit.finetune(bert, recipe(write(tmp_path / "a.jsonl", made)), run=tmp_path / "run", quiet=True)
    assert lmkit.evaluate(run, rows=tmp_path / "a.jsonl")["rows"]["exact_match"] > 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"answers": [{"text": "fox", "answer_start": 3}]},
            r'a.jsonl:3: column "answers": answer "fox" is not at character 3',
        ),
        ({"answers": "fox"}, r'a.jsonl:3: column "answers": wanted \[{"text": ..., "answer_start": ...}, ...\] or'),
        ({"context": ""}, r'a.jsonl:3: column "context": the text is empty'),
    ],
)
def test_a_bad_row_is_named_before_training(
    tmp_path: Path, bert: lmkit.Run, change: dict[str, Any], message: str
) -> None:
    made = rows()
    made[2] |= change
    with pytest.raises(lmkit.DataError, match=message):
        lmkit.finetune(bert, recipe(write(tmp_path / "a.jsonl", made)), run=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_gold_answer_that_stands_elsewhere_is_told_when_it_is_scored(tmp_path: Path, bert: lmkit.Run) -> None:
    made = rows(8)
    run = lmkit.finetune(bert, recipe(write(tmp_path / "a.jsonl", made), steps=1), run=tmp_path / "run", quiet=True)
    made[2]["answers"][0]["answer_start"] += 1
    with pytest.raises(lmkit.DataError, match=r'b.jsonl:3: column "answers": answer "otto" is not at character'):
        lmkit.evaluate(run, rows=write(tmp_path / "b.jsonl", made))


def test_windows_longer_than_the_encoder_reads_are_refused(tmp_path: Path, bert: lmkit.Run) -> None:
    made = [{**rows()[0], "context": rows()[0]["context"] + " fox" * 200}]
    with pytest.raises(lmkit.FitError, match=r"reads at most 64 tokens, but the longest example of the task"):
        lmkit.finetune(bert, recipe(write(tmp_path / "a.jsonl", made), longest=100), run=tmp_path / "run", quiet=True)
