"""Classification on a model that is really pre-trained and fine-tuned: what it learns, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest

import lmkit
from lmkit.recipe import read_finetuning
from lmkit.run.finetune import trainee_of
from tests.run.labelled import recipe, rows, spelled, write


def test_it_learns_classes_evaluates_and_answers(tmp_path: Path, bert: lmkit.Run) -> None:
    run = lmkit.finetune(bert, recipe(write(tmp_path / "a.jsonl", rows())), run=tmp_path / "run", quiet=True)
    found = lmkit.evaluate(run, rows=tmp_path / "a.jsonl")["rows"]
    assert found["accuracy"] > 0.9
    assert found["macro_f1"] > 0.9
    assert (found["rows"], found["scored"], found["unread"]) == (48, 48, 0)
    answer = run.classify(rows()[2]["text"])
    assert answer["label"] == rows()[2]["label"]
    assert sum(answer["probabilities"].values()) == pytest.approx(1)


def test_labels_and_weights_come_from_the_table(tmp_path: Path, bert: lmkit.Run) -> None:
    path = tmp_path / "a.csv"
    path.write_text("body,topics\n" + "".join(f"{r['text']},{r['label']};any\n" for r in rows()))
    task = {"column": "body", "label_column": "topics", "several": True, "separator": ";", "pooling": "mean"}
    run = lmkit.finetune(bert, recipe(str(path), **task), run=tmp_path / "run", quiet=True)
    assert run.classify("The fox was mean.")["labels"] == ["any", "bad"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": None}, r"a.jsonl:3: column \"label\": wanted a label, got None"),
        ({"label": True}, r"a.jsonl:3: column \"label\": wanted a label, got True"),
        ({"label": ""}, r"a.jsonl:3: column \"label\": wanted a label, got ''"),
        ({"label": "ugly"}, r"a.jsonl:3: column \"label\": label \"ugly\" is not among bad, good"),
        ({"text": 7}, r"a.jsonl:3: column \"text\": wanted text, got int 7"),
    ],
)
def test_a_bad_row_is_named_before_training(
    tmp_path: Path, bert: lmkit.Run, change: dict[str, Any], message: str
) -> None:
    made = rows()
    made[2] |= change
    table = recipe(write(tmp_path / "a.jsonl", made), labels=["bad", "good"])
    with pytest.raises(lmkit.DataError, match=message):
        lmkit.finetune(bert, table, run=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
    table["data"]["bad_input"] = "skip"
    table["train"]["steps"] = 1
    assert lmkit.finetune(bert, table, run=tmp_path / "run", quiet=True).step == 1


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"labels": ["a", "b", "a"]}, "task: labels: expected different names"),
        ({"labels": ["bad", "good"], "class_weights": {"nope": 2.0}}, "task: class_weights: nope is none of labels"),
        ({"class_weights": {"nope": 2.0}}, "class_weights names nope, which is none of bad, good"),
    ],
)
def test_wrong_labels_in_the_config_are_told(
    tmp_path: Path, bert: lmkit.Run, task: dict[str, Any], message: str
) -> None:
    with pytest.raises(lmkit.ConfigError) as raised:
        lmkit.finetune(bert, recipe(write(tmp_path / "a.jsonl", rows()), **task), run=tmp_path / "run", quiet=True)
    assert message in str(raised.value)


def test_a_validation_label_that_training_lacks_is_named(tmp_path: Path, bert: lmkit.Run) -> None:
    train, other = write(tmp_path / "a.jsonl", rows()), write(tmp_path / "b.jsonl", rows(4, ("good", "vile")))
    with pytest.raises(lmkit.DataError, match=r'b.jsonl:2: label "vile" is not among those of the training rows'):
        lmkit.finetune(bert, recipe(train, validation=[other]), run=tmp_path / "run", quiet=True)


def test_a_held_out_share_shares_no_row_and_may_have_a_label_alone(tmp_path: Path, bert: lmkit.Run) -> None:
    rare = [{"text": f"The {spelled(n)} owl.", "label": f"rare{n}"} for n in range(20)]
    table = recipe({"path": write(tmp_path / "a.jsonl", rows() + rare), "weight": 3.0}, validation=0.2)
    trainee = trainee_of(read_finetuning(table), bert)
    learned = {e.tokens.tobytes() for e in trainee.source.examples(0, len(trainee.source))}
    held = [e.tokens.tobytes() for e in trainee.validation["validation"]]
    assert len(held) == 14
    assert not learned & set(held)
    assert len(trainee.source) == 3 * (68 - 14)
    assert len(trainee.parts.labels) == 22


def test_rows_that_changed_are_not_resumed_on(tmp_path: Path, bert: lmkit.Run) -> None:
    path = tmp_path / "a.jsonl"
    lmkit.finetune(bert, recipe(write(path, rows()), steps=2), run=tmp_path / "run", quiet=True)
    write(path, rows(names=("bad", "good")))
    with pytest.raises(lmkit.RunError, match=r"the data is not what the run was trained on \(examples differ\)"):
        lmkit.resume(tmp_path / "run", overrides=["train.steps=3"], quiet=True)


def test_other_labels_get_a_fresh_head(tmp_path: Path, bert: lmkit.Run) -> None:
    first = lmkit.finetune(bert, recipe(write(tmp_path / "a.jsonl", rows()), steps=2), run=tmp_path / "run", quiet=True)
    three = [*rows(names=("x", "y")), {"text": "The owl.", "label": "z"}]
    with pytest.warns(UserWarning, match="knows other labels: this task gets a fresh head"):
        tuned = lmkit.finetune(
            first, recipe(write(tmp_path / "b.jsonl", three), steps=2), run=tmp_path / "again", quiet=True
        )
    assert set(tuned.classify("The owl.")["probabilities"]) == {"x", "y", "z"}


def test_rows_that_cannot_be_scored_are_counted(tmp_path: Path, bert: lmkit.Run) -> None:
    run = lmkit.finetune(bert, recipe(write(tmp_path / "a.jsonl", rows())), run=tmp_path / "run", quiet=True)
    mixed = [rows()[0], {"text": "no label"}, {"body": "no text", "label": "good"}, {"text": "odd", "label": "vile"}]
    with pytest.warns(UserWarning, match="c.jsonl:") as told:
        found = lmkit.evaluate(run, rows=write(tmp_path / "c.jsonl", mixed))["rows"]
    counts = {name: found[name] for name in ("rows", "scored", "unread", "unknown_labels", "accuracy")}
    assert counts == {"rows": 4, "scored": 2, "unread": 1, "unknown_labels": 1, "accuracy": 0.5}
    assert [str(one.message).partition(str(tmp_path))[2] for one in told] == [
        '/c.jsonl:3: no column "text"; the row has "body", "label"',
        '/c.jsonl:4: label "vile" is not among bad, good: no answer can be right there',
    ]
    with pytest.raises(lmkit.DataError, match=r'no row has a label that the model knows; .*d.jsonl:1: label "vile"'):
        lmkit.evaluate(run, rows=write(tmp_path / "d.jsonl", mixed[3:]))
    write(tmp_path / "d.jsonl", [*rows()[:2], {"text": "a", "label": 0.5}])
    with pytest.raises(lmkit.DataError, match=r"d.jsonl:3: column"):
        lmkit.evaluate(run, rows=tmp_path / "d.jsonl")
    with pytest.raises(lmkit.DataError, match='objective "classify" does not score plain text; give rows of its task'):
        lmkit.evaluate(run, text=[tmp_path / "a.jsonl"])


def test_a_causal_model_that_is_read_in_both_directions_is_warned_about(
    tmp_path: Path, trained: dict[str, lmkit.Run]
) -> None:
    table = recipe(write(tmp_path / "a.jsonl", rows()), steps=1)
    with pytest.warns(UserWarning, match="was trained with causal attention, this task reads with bidirectional"):
        lmkit.finetune(trained["clm"], table, run=tmp_path / "both", quiet=True)
    table["task"]["attention"] = "causal"  # no warning, which the tests would take for an error
    assert lmkit.finetune(trained["clm"], table, run=tmp_path / "causal", quiet=True).step == 1


def test_validation_rows_that_changed_are_not_resumed_on(tmp_path: Path, bert: lmkit.Run) -> None:
    train, held = write(tmp_path / "a.jsonl", rows()), tmp_path / "b.jsonl"
    table = recipe(train, validation=[write(held, rows(4))], steps=2)
    lmkit.finetune(bert, table, run=tmp_path / "run", quiet=True)
    write(held, rows(6))
    with pytest.raises(lmkit.RunError, match=r"the data is not what the run was trained on \(validation differ\)"):
        lmkit.resume(tmp_path / "run", overrides=["train.steps=3"], quiet=True)
