"""What people ask for in a slightly wrong way gets what they meant, or a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet
import pytest

import lmkit
from lmkit.data.rows import read_rows
from lmkit.data.settings import Data
from lmkit.recipe import read_finetuning
from lmkit.run.folder import METRICS
from tests.run.labelled import recipe, rows, write


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory, bert: lmkit.Run) -> lmkit.Run:
    folder = tmp_path_factory.mktemp("classifier")
    return lmkit.finetune(bert, recipe(write(folder / "a.jsonl", rows())), run=folder / "run", quiet=True)


def test_one_text_or_one_row_is_no_list_of_them(classifier: lmkit.Run) -> None:
    mixed: list[Any] = ["The fox.", 5]
    for one in ("The fox.", {"text": "The fox."}):
        with pytest.raises(lmkit.DataError, match="expected a list of rows or texts, got one"):
            classifier.predict(one)
    with pytest.raises(lmkit.DataError, match="row 1: expected a dict or a text, got int"):
        list(classifier.predict(mixed))


def test_what_a_head_was_trained_for_cannot_be_changed_when_it_answers(classifier: lmkit.Run) -> None:
    answers = list(classifier.predict(["The fox."], longest=16))
    assert list(classifier.predict(["The fox."], longest=16, several=False)) == answers
    with pytest.raises(lmkit.ConfigError, match=r"several: this head was trained with False, which True cannot"):
        classifier.predict(["The fox."], longest=16, several=True)
    with pytest.raises(lmkit.ConfigError, match=r"labels: this head was trained with \(\)"):
        classifier.predict(["The fox."], labels=("a",))


def test_a_path_that_is_typed_starts_where_it_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipes").mkdir()
    file = tmp_path / "recipes" / "run.toml"
    file.write_text('[task]\nuse = "embedding"\namong = "own.txt"\n[data]\ntrain = ["own.jsonl"]\n[train]\nsteps = 1\n')
    monkeypatch.chdir(tmp_path)
    own = read_finetuning(file)
    assert (own.data.train, own.task.config.among) == ((tmp_path / "recipes/own.jsonl",), tmp_path / "recipes/own.txt")
    typed = read_finetuning(file, overrides=["data.train=['mine.jsonl']", "task.among=mine.txt"])
    assert (typed.data.train, typed.task.config.among) == ((tmp_path / "mine.jsonl",), tmp_path / "mine.txt")


def test_a_fine_tuning_that_was_stopped_before_it_began_begins(bert: lmkit.Run, tmp_path: Path) -> None:
    table = recipe(write(tmp_path / "a.jsonl", rows()), steps=2)
    whole = lmkit.finetune(bert, table, run=tmp_path / "whole", quiet=True)
    begun = tmp_path / "begun"
    begun.mkdir()
    for name in ("config.toml", METRICS):
        (begun / name).write_bytes((whole.folder / name).read_bytes())
    again = lmkit.finetune(bert, table, run=begun, quiet=True)
    assert again.step == 2
    assert (begun / METRICS).read_text().count('"started"') == 1
    with pytest.raises(lmkit.RunError, match="already there; go on with: lmkit resume"):
        lmkit.finetune(bert, table, run=begun, quiet=True)


def test_seeds_that_fail_leave_a_folder_that_may_be_used(
    bert: lmkit.Run, classifier: lmkit.Run, tmp_path: Path
) -> None:
    folder, good = tmp_path / "seeds", recipe(write(tmp_path / "a.jsonl", rows()), steps=1)
    with pytest.raises(lmkit.DataError, match="no such file"):
        lmkit.finetune_seeds(bert, recipe(str(tmp_path / "none.jsonl")), run=folder, seeds=[1], quiet=True)
    assert list(lmkit.finetune_seeds(classifier, good, run=folder, seeds=[1], quiet=True)["seeds"]) == ["seed-1"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("mine")
    with pytest.raises(lmkit.RunError, match="already there, and not of several seeds"):
        lmkit.finetune_seeds(bert, good, run=tmp_path / "mine", seeds=[1], quiet=True)


def test_numbers_that_stand_for_classes_are_read_as_their_names(tmp_path: Path) -> None:
    names = datasets.ClassLabel(names=["bad", "good"])
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": names,
            "tags": datasets.List(datasets.ClassLabel(names=["O", "B-X"])),
        }
    )
    made = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, -1], "tags": [[0, 1], []]}, features=features)
    made.save_to_disk(tmp_path / "saved")
    made.to_parquet(tmp_path / "rows.parquet")
    wanted = [{"text": "a", "label": "good", "tags": ["O", "B-X"]}, {"text": "b", "label": None, "tags": []}]
    for path in (tmp_path / "saved", tmp_path / "rows.parquet"):
        assert list(read_rows([path], Data(train=[path]))) == wanted
    pa.parquet.write_table(pa.table({"label": [1]}), tmp_path / "plain.parquet")
    assert list(read_rows([tmp_path / "plain.parquet"], Data(train=["-"]))) == [{"label": 1}]


def test_a_budget_that_is_asked_for_takes_the_place_of_the_files(tmp_path: Path) -> None:
    table = recipe(write(tmp_path / "a.jsonl", rows()), steps=60)
    train = read_finetuning(table, overrides=["train.epochs=2"]).train
    assert (train.steps, train.epochs) == (None, 2)
    with pytest.raises(lmkit.ConfigError, match="exactly one"):
        read_finetuning(table, overrides=["train.epochs=2", "train.minutes=1"])


def test_a_task_and_its_fields_are_chosen_where_rows_are_scored(trained: dict[str, lmkit.Run], tmp_path: Path) -> None:
    made: list[Any] = [{"prompt": "The old", "endings": ["fox", "of"], "label": n} for n in (0, 1)]
    path = tmp_path / "choices.jsonl"
    write(path, made)
    found = lmkit.evaluate(trained["clm"], rows=path, task="multiple-choice", normalize="bytes")["rows"]
    assert found["accuracy"] == 0.5
    answers = list(
        trained["clm"].predict(made, task="completion", column="prompt", temperature=1e-300, max_new_tokens=3)
    )
    greedy = list(trained["clm"].predict(made, task="completion", column="prompt", temperature=0, max_new_tokens=3))
    assert answers == greedy


def test_a_command_none_of_whose_rows_was_answered_says_so(classifier: lmkit.Run, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write(path, [{"body": "a"}, {"body": "b"}])
    command = [sys.executable, "-m", "lmkit"]
    asked = [*command, "predict", str(classifier.folder), "--rows", str(path)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    problems = [f'{path}:{n}: no column "text"; the row has "body"' for n in (1, 2)]
    assert [json.loads(line)["error"] for line in done.stdout.splitlines()] == problems
    assert done.stderr == f"error: none of 2 rows could be answered; the first: {problems[0]}\n"
    with pytest.raises(lmkit.DataError, match="none of 2 rows could be read; the first: "):
        lmkit.evaluate(classifier, rows=path)
