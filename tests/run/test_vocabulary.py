"""Sentences with given words from a GPT that is really trained: every word is in, or it is told why not."""

import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

import lmkit
from lmkit.recipe import read_finetuning

EXAMPLE = Path(__file__).parents[2] / "examples/robin-hood"
PLACES, PEOPLE = ("wood", "barn", "glade", "bridge"), ("friar", "miller", "sheriff", "tinker")
BOOK = [f"The {adjective} {who} met the {other} in the {place}." for adjective in ("old", "bold", "merry")
        for who in PEOPLE for other in PEOPLE if other != who for place in PLACES]  # fmt: skip
TRAIN = {"precision": "fp32", "compile": "off", "threads": 1, "evaluate_every_steps": 0}
QUICK = {"sentences": 2, "longest": 16, "beams": 2}


@pytest.fixture(scope="module")
def gpt(tmp_path_factory: pytest.TempPathFactory) -> lmkit.Run:
    folder = tmp_path_factory.mktemp("gpt")
    (folder / "book.txt").write_text("\n".join(BOOK))
    recipe = {
        "tokenizer": {"use": "bpe", "vocab_size": 300},
        "data": {"train": [str(folder / "book.txt")], "document": "line"},
        "encoder": {"use": "gpt2", "layers": 1, "width": 32, "heads": 2, "positions": 128},
        "objective": {"use": "clm"},
        "train": {**TRAIN, "steps": 60, "block_tokens": 32, "batch_tokens": 512, "learning_rate": 0.01},
    }
    return lmkit.pretrain(recipe, run=folder / "run", quiet=True)


@pytest.fixture(scope="module")
def tuned(gpt: lmkit.Run, tmp_path_factory: pytest.TempPathFactory) -> lmkit.Run:
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "book.txt").write_text("\n".join(BOOK))
    recipe = {
        "task": {"use": "vocabulary", **QUICK, "longest": 48},
        "data": {"train": [str(folder / "book.txt")], "document": "line", "validation": 0.1},
        "train": {**TRAIN, "steps": 60, "batch_tokens": 512, "learning_rate": 0.01},
    }
    return lmkit.finetune(gpt, recipe, run=folder / "run", quiet=True)


def has(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


def test_fine_tuning_keeps_the_head_and_learns_sentences_after_words(gpt: lmkit.Run, tuned: lmkit.Run) -> None:
    losses = {}
    for run in (gpt, tuned):
        answer = run.sentences("tinker, glade, bold", **QUICK)
        assert answer["covered"]
        losses[run.folder] = -answer["sentences"][0]["log_probability"]
    assert losses[tuned.folder] < losses[gpt.folder]
    best = tuned.sentences("tinker, glade, bold")["sentences"][0]
    assert best["words"] == {"tinker": "tinker", "glade": "glade", "bold": "bold"}
    assert re.match("The bold tinker met the ", best["text"])


@pytest.mark.parametrize(
    "words",
    ["sheriff", "zephyr, quixotic", "the.", "long bow, the, wood", "naïve, 漢字", "Nottingham's", "3.14", "o'er, e.g.",
     "bow, bowl, bowls, rainbow"],
)  # fmt: skip
def test_every_word_is_in_every_sentence_known_to_the_model_or_not(tuned: lmkit.Run, words: str) -> None:
    answer = tuned.sentences(words)
    assert answer["covered"]
    texts = [sentence["text"] for sentence in answer["sentences"]]
    assert len(set(texts)) == len(texts) == 2
    for text in texts:
        assert all(has(word, text) for word in answer["words"]), text
        assert "\n" not in text
    likelihoods = [sentence["log_probability"] for sentence in answer["sentences"]]
    assert all(value < 0 for value in likelihoods)


def test_inflections_count_where_they_are_allowed(tuned: lmkit.Run) -> None:
    sentence = tuned.sentences("friar", inflections=True)["sentences"][0]
    assert sentence["words"]["friar"].lower() in ("friar", "friars", "friared", "friaring")


def test_an_opening_begins_every_sentence_and_its_words_are_in(tuned: lmkit.Run) -> None:
    row = {"words": ["friar", "wood"], "opening": "The merry  friar"}
    answer = next(tuned.predict([row]))
    assert answer["covered"]
    assert all(sentence["text"].startswith("The merry friar") for sentence in answer["sentences"])


def test_the_last_word_of_an_opening_may_not_grow_into_another(tuned: lmkit.Run) -> None:
    for number in range(4):
        [answer] = tuned.predict([{"words": "fri", "opening": "The merry fri"}], seed=number)
        assert answer["covered"]
        assert all(re.search(r"\bfri\b", sentence["text"], re.IGNORECASE) for sentence in answer["sentences"])
    row = {"words": "friar", "opening": "The merry friar"}
    assert lmkit.evaluate(tuned, rows=[row])["rows"]["coverage"] == 1.0


def test_a_text_proposes_its_unfamiliar_words(tuned: lmkit.Run) -> None:
    answer = next(
        tuned.predict([{"text": "The zephyr blew. A zephyr and the old quicksilver met the friar."}], propose=2)
    )
    assert [(word["word"], word["count"]) for word in answer["unfamiliar"]][:2] == [("quicksilver", 1), ("zephyr", 2)]
    assert answer["words"] == ["quicksilver", "zephyr"]
    assert answer["covered"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"words": ""}, "no word in it"),
        ({"words": " , "}, "no word in it"),
        ({"words": "👍"}, "has no letter or digit"),
        ({"words": "?!"}, "has no letter or digit"),
        ({"words": ["fox", None]}, "wanted text, got NoneType"),
        ({"words": ", ".join(f"w{n}x" for n in range(200))}, r"200 words need .* but this model reads 128 at most"),
        ({"text": "the"}, "no word of it is unfamiliar"),
        ({"other": "fox"}, 'no column "words"'),
    ],
)
def test_what_cannot_be_is_told_in_its_place(tuned: lmkit.Run, row: dict[str, Any], message: str) -> None:
    before, told, after = tuned.predict([{"words": "friar"}, row, {"words": "wood"}])
    assert re.search(message, told["error"])
    assert before["covered"]
    assert after["covered"]


def test_evaluation_finds_all_words(tuned: lmkit.Run, tmp_path: Path) -> None:
    rows = [{"words": "friar, barn"}, {"words": ["quiver"]}, {"text": "A quicksilver zephyr."}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = lmkit.evaluate(tuned, rows=tmp_path / "rows.jsonl")["rows"]
    assert (found["rows"], found["coverage"]) == (3, 1.0)
    assert 0 < found["distinct_2"] <= 1


def test_a_gpt_still_completes_where_no_task_is_named(gpt: lmkit.Run) -> None:
    assert "completion" in next(lmkit.predict(gpt, texts=["The old"], overrides=["max_new_tokens=4"]))
    assert lmkit.load(gpt.folder).task().name == "completion"


def test_the_example_asks_and_its_recipe_is_valid(
    tuned: lmkit.Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read_finetuning(EXAMPLE / "vocabulary.toml").task.component.name == "vocabulary"
    monkeypatch.setattr(sys, "argv", ["robin_hood.py", str(tuned.folder)])
    runpy.run_path(str(EXAMPLE / "robin_hood.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert said.count("  - ") == 2 * 6
    assert "Unfamiliar: " in said
