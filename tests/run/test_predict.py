"""Answers in the order of what was asked, with an error in place of each row that could not be read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lmkit
from lmkit.data.rows import Unread
from lmkit.run.predict import in_place
from tests.run.labelled import TRAIN


def in_batches(size: int, rows: Iterator[dict[str, int]]) -> Iterator[Any]:
    """Answers as a task does, which reads `size` rows ahead: a row's number among all, and what it holds."""
    waiting: list[Any] = []
    for number, row in enumerate(rows):
        waiting.append((number, row["n"]) if row else {"error": "no column"})
        if len(waiting) == size:
            yield from waiting
            waiting = []
    yield from waiting


@given(good=st.lists(st.booleans(), max_size=40), size=st.integers(1, 10))
def test_every_row_has_one_answer_in_its_place(good: list[bool], size: int) -> None:
    rows = [{"n": n} if fine else Unread(str(n)) for n, fine in enumerate(good)]
    answers = list(in_place(rows, lambda asked: in_batches(size, asked)))
    assert answers == [(n, n) if fine else {"error": str(n)} for n, fine in enumerate(good)]


@pytest.mark.parametrize("good", [0, 1, 2])
def test_it_reads_no_further_than_it_must(good: int) -> None:
    read = 0

    def rows() -> Iterator[Any]:
        nonlocal read
        for number in range(10**9):
            read += 1
            yield {"n": number} if number % 2 < good else Unread(str(number))

    answers = in_place(rows(), lambda asked: in_batches(10, asked))
    for _ in range(5000):
        next(answers)
    assert read <= 5000 + 10


def test_bad_rows_of_a_file_are_told_in_their_place(trained: dict[str, lmkit.Run], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(
        b'{"text": "a [MASK]"}\n{"text"\n\n7\n{"text": "no mask"}\n\xff\n{"text": "a [MASK]"}\n{"text": 7}\n'
    )
    answers = list(lmkit.predict(trained["mlm"], rows=path, texts=["the [MASK]"]))
    errors = [answer.get("error") for answer in answers]
    assert [error is None for error in errors] == [True, True, False, False, False, False, True, False]
    assert answers[1] == answers[6]
    assert errors[2].startswith(f"{path}:2: not a JSON object: ")
    assert errors[3].startswith(f"{path}:4: not a JSON object: a int")
    assert errors[5].startswith(f"{path}:6: byte 1 of the line, 0xff, is not UTF-8")
    path.write_text("a,b\n")
    with pytest.raises(lmkit.DataError, match="no such file"):
        list(lmkit.predict(trained["mlm"], rows=tmp_path / "none.jsonl"))


def test_memory_does_not_grow_with_the_rows_of_stdin(
    trained: dict[str, lmkit.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    line, bad = b'{"text": "a [MASK]", "more": "' + b"x" * 10_000 + b'"}\n', b'{"text": ' + b"y" * 10_000 + b"\n"
    # The memory that 20,000 rows of ten kilobytes would take, were they kept, is 200 MB.
    source = (bad if number % 100 else line for number in range(20_000))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=source))
    answers = lmkit.predict(trained["mlm"], rows="-")
    for _ in range(2000):
        next(answers)
    before = psutil.Process().memory_info().rss
    assert sum(1 for _ in answers) == 18_000
    assert psutil.Process().memory_info().rss - before < 60e6


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory, bert: lmkit.Run) -> tuple[lmkit.Run, Path]:
    """A run that learned from a .txt file of CoNLL, and the file."""
    folder = tmp_path_factory.mktemp("tagger")
    lines = [f"The O\n{animal} B-ANIMAL\nwas O\n{word} O\n" for animal in ("fox", "cat") for word in ("good", "bad")]
    (folder / "train.txt").write_text("-DOCSTART- O\n\n" + "\n".join(lines))
    table = {
        "task": {"use": "token-classification"},
        "data": {"train": [str(folder / "train.txt")], "format": "conll"},
        "train": {**TRAIN, "learning_rate": 0.01, "matrix_learning_rate": 0.02, "steps": 40, "batch_tokens": 256},
    }
    return lmkit.finetune(bert, table, run=folder / "run", quiet=True), folder / "train.txt"


def test_a_run_reads_files_as_it_did_in_training(tagger: tuple[lmkit.Run, Path], tmp_path: Path) -> None:
    run, path = tagger
    assert lmkit.evaluate(run.folder, rows=path)["rows"]["f1"] > 0.9
    assert [answer["tags"] for answer in lmkit.predict(run, rows=path)] == [["O", "B-ANIMAL", "O", "O"]] * 4
    (tmp_path / "a.jsonl").write_text(json.dumps({"tokens": ["The", "cat"]}))
    assert [answer["tags"] for answer in lmkit.predict(run, rows=tmp_path / "a.jsonl")] == [["O", "B-ANIMAL"]]


def test_evaluation_counts_what_it_cannot_read_and_goes_on(tagger: tuple[lmkit.Run, Path], tmp_path: Path) -> None:
    run, path = tagger
    bad = tmp_path / "bad.txt"
    bad.write_text(path.read_text() + "\nThe O O\n\nfox\n\n")
    good = lmkit.evaluate(run, rows=path)["rows"]
    with pytest.warns(UserWarning, match=r"2 of 6 rows unread; the first: .*bad.txt:23: 3 columns"):
        found = lmkit.evaluate(run, rows=bad)["rows"]
    assert (found["rows"], found["scored"], found["unread"]) == (6, 4, 2)
    counts = ("rows", "scored", "unread")
    assert {k: v for k, v in found.items() if k not in counts} == {k: v for k, v in good.items() if k not in counts}
