"""Minimal pairs on runs that were really pre-trained: file by file, and their mean."""

import json
from pathlib import Path

import pytest

import lmkit

PAIRS = [("Robin Hood was a merry man", "man merry a was Hood Robin"), ("the King of England", "King the England of")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for name, pairs in (("order", PAIRS), ("same", [(good, good) for good, _ in PAIRS[:1]])):
        rows = [{"sentence_good": good, "sentence_bad": bad, "UID": name} for good, bad in pairs]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize("kind", ["mlm", "clm"])
def test_both_kinds_of_run_are_scored_file_by_file(trained: dict[str, lmkit.Run], folder: Path, kind: str) -> None:
    (folder / "README.md").write_text("What the files are.")
    found = lmkit.evaluate(trained[kind], minimal_pairs=[folder])["minimal_pairs"]
    assert len(found["files"]) == 2
    order, same = (found["files"][str(folder / f"{name}.jsonl")] for name in ("order", "same"))
    assert same.pop("intervals") == {}, "all rows are alike"
    assert same == {"accuracy": 0.5, "ties": 1.0, "pairs": 1, "unread": 0}
    answers = list(lmkit.predict(trained[kind], task="minimal-pairs", rows=folder / "order.jsonl"))
    assert order["accuracy"] == sum(answer["prefers"] == "good" for answer in answers) / 2
    assert order["pairs"] == 2
    assert found["mean"] == {"accuracy": (order["accuracy"] + 0.5) / 2, "ties": 0.5}


def test_one_task_is_made_for_a_kind_of_head_and_others_are_asked_for(trained: dict[str, lmkit.Run]) -> None:
    assert trained["mlm"].task().name == "fill-mask"
    assert trained["clm"].task().name == "completion"


def test_a_file_without_pairs_is_named(trained: dict[str, lmkit.Run], tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text('{"text": "no pair"}\n')
    with pytest.raises(lmkit.DataError, match=r"odd.jsonl: none of 1 rows could be read; the first: .*sentence_good"):
        lmkit.evaluate(trained["mlm"], minimal_pairs=[path])
    (tmp_path / "README.md").write_text("text")
    with pytest.raises(lmkit.DataError, match=r"README.md: wanted files of rows, such as \.jsonl; there are none"):
        lmkit.evaluate(trained["mlm"], minimal_pairs=[tmp_path / "README.md"])
    with pytest.raises(lmkit.DataError, match="no such file"):
        lmkit.evaluate(trained["mlm"], minimal_pairs=[tmp_path / "absent"])
