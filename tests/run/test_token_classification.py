"""Tagging on models that are really pre-trained and fine-tuned: what they learn, and what they refuse."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import lmkit

PEOPLE, PLACES = ("anna", "otto", "maria", "bruno"), ("paris", "rome", "lima", "oslo")
TRAIN = {"precision": "fp32", "compile": "off", "threads": 1, "evaluate_every_steps": 0}
ENCODERS = {
    "wordpiece": ({"use": "bert", "layers": 1, "width": 32, "heads": 2}, {"use": "mlm"}),
    "bpe": ({"use": "gpt2", "layers": 1, "width": 32, "heads": 2}, {"use": "clm"}),
}


def rows(count: int = 48) -> list[dict[str, Any]]:
    """Sentences with a person of one or two words, and a place; their tags are those of IOB1."""
    made = []
    for number in range(count):
        person = [PEOPLE[number % 4], *([PEOPLE[number // 4 % 4]] if number % 3 else [])]
        place = PLACES[number // 2 % 4]
        words = ["the", ("old", "red")[number % 2], "fox", "saw", *person, "in", place, "."]
        tags = ["O", "O", "O", "O", *(["I-PER"] * len(person)), "O", "I-LOC", "O"]
        made.append({"tokens": words, "tags": tags})
    return made


def pretrained(folder: Path, tokenizer: str) -> lmkit.Run:
    encoder, objective = ENCODERS[tokenizer]
    (folder / "book.txt").write_text("\n".join(" ".join(row["tokens"]) for row in rows(96)))
    recipe = {
        "tokenizer": {"use": tokenizer, "vocab_size": 340},
        "data": {"train": [str(folder / "book.txt")], "document": "line"},
        "encoder": encoder,
        "objective": objective,
        "train": {**TRAIN, "steps": 20, "block_tokens": 32, "batch_tokens": 512},
    }
    return lmkit.pretrain(recipe, run=folder / "run", quiet=True)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> lmkit.Run:
    return pretrained(tmp_path_factory.mktemp("bert"), "wordpiece")


def write(path: Path, made: Sequence[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return str(path)


def recipe(train: str, *, steps: int = 60, validation: Any = 0.0, **task: Any) -> dict[str, Any]:
    data = {"train": [train], **({"validation": validation} if validation else {})}
    rates = {"learning_rate": 0.01, "matrix_learning_rate": 0.02}
    return {
        "task": {"use": "token-classification", **task},
        "data": data,
        "train": {**TRAIN, **rates, "steps": steps, "batch_tokens": 512},
    }


def check_learned(run: lmkit.Run, path: Path) -> None:
    found = lmkit.evaluate(run, rows=path)["rows"]
    assert found["f1"] > 0.9
    assert found["accuracy"] > 0.95
    assert found["f1 PER"] > 0.9
    text = "the old fox saw maria otto in rome."
    answer = run.tag(text)
    assert answer["tags"] == ["O", "O", "O", "O", "B-PER", "I-PER", "O", "B-LOC", "O"]
    assert [entity["text"] for entity in answer["entities"]] == ["maria otto", "rome"]
    assert text[answer["entities"][1]["start_char"] : answer["entities"][1]["end_char"]] == "rome"


def test_it_learns_entities_evaluates_and_answers(tmp_path: Path, bert: lmkit.Run) -> None:
    run = lmkit.finetune(bert, recipe(write(tmp_path / "a.jsonl", rows())), run=tmp_path / "run", quiet=True)
    check_learned(run, tmp_path / "a.jsonl")
    assert len(run.tag("the old fox saw maria otto in rome . " * 300)["tags"]) == 9 * 300


def test_a_gpt_learns_them_with_causal_attention(tmp_path: Path) -> None:
    gpt = pretrained(tmp_path, "bpe")
    table = recipe(write(tmp_path / "a.jsonl", rows()), attention="causal", steps=100)
    check_learned(lmkit.finetune(gpt, table, run=tmp_path / "tuned", quiet=True), tmp_path / "a.jsonl")


def test_parts_of_speech_have_no_entities(tmp_path: Path, bert: lmkit.Run) -> None:
    made = [{"tokens": row["tokens"], "pos": [tag[2:] or "WORD" for tag in row["tags"]]} for row in rows()]
    table = recipe(write(tmp_path / "a.jsonl", made), tags_column="pos", entities=False)
    run = lmkit.finetune(bert, table, run=tmp_path / "run", quiet=True)
    found = lmkit.evaluate(run, rows=tmp_path / "a.jsonl")["rows"]
    assert found["accuracy"] > 0.95
    assert "f1" not in found
    assert run.tag("the fox")["tags"] == ["WORD", "WORD"]
    assert run.parts.labels == ("LOC", "PER", "WORD")


def test_rows_of_other_schemes_are_the_same_rows(tmp_path: Path, bert: lmkit.Run) -> None:
    """A held out row may have the inside of an entity whose type only ever had one word in training."""
    train = [{"tokens": ["anna"], "tags": ["U-PER"]}, {"tokens": ["rome", "."], "tags": ["S-LOC", "O"]}]
    held = [{"tokens": ["new", "rome"], "tags": ["B-LOC", "E-LOC"]}]
    table = recipe(write(tmp_path / "a.jsonl", train), validation=[write(tmp_path / "b.jsonl", held)], steps=1)
    run = lmkit.finetune(bert, table, run=tmp_path / "run", quiet=True)
    assert run.parts.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    table["data"]["validation"] = [write(tmp_path / "c.jsonl", [{"tokens": ["x"], "tags": ["B-ORG"]}])]
    with pytest.raises(lmkit.DataError, match=r'c.jsonl:1: label "B-ORG" is not among those of the training rows'):
        lmkit.finetune(bert, table, run=tmp_path / "again", quiet=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tags": ["O", "X-", "O"]}, r"a.jsonl:3: column \"tags\", word 2: wanted O, or one of B- I- E- S- L- U- and"),
        ({"tags": ["O"]}, r"a.jsonl:3: column \"tags\": wanted 3 tags, as many as words in \"tokens\", got 1"),
        ({"tokens": ["a", 7, "b"]}, r"a.jsonl:3: column \"tokens\", word 2: wanted text, got int 7"),
    ],
)
def test_a_bad_row_is_named_before_training(
    tmp_path: Path, bert: lmkit.Run, change: dict[str, Any], message: str
) -> None:
    made = rows()
    made[2] = {"tokens": ["a", "b", "c"], "tags": ["O", "O", "O"]} | change
    with pytest.raises(lmkit.DataError, match=message):
        lmkit.finetune(bert, recipe(write(tmp_path / "a.jsonl", made)), run=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
