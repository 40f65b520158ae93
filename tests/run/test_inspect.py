"""`lmkit data inspect`: batches are shown as the model sees them, and what is odd in the data is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import lmkit
from lmkit.run import inspect_data

RECIPE = """
[tokenizer]
use = "{tokenizer}"
vocab_size = 300
[data]
train = ["text.txt"]
validation = ["held.txt"]
document = "line"
[encoder]
use = "{encoder}"
layers = 1
width = 64
[objective]
use = "{objective}"
[train]
steps = 2
block_tokens = 64
batch_tokens = 128
threads = 1
precision = "fp32"
compile = "off"
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    lines = [f"Robin Hood and {n} men went to the wood." for n in range(50)]
    (tmp_path / "text.txt").write_text("\n".join([*lines, lines[0], lines[1]]) + "\n")
    (tmp_path / "held.txt").write_text(f"{lines[3]}\nMaid Marian was there.\n")
    return tmp_path


def recipe(place: Path, objective: str, encoder: str, tokenizer: str) -> Path:
    file = place / "run.toml"
    file.write_text(RECIPE.format(objective=objective, encoder=encoder, tokenizer=tokenizer))
    return file


def test_masks_are_shown_with_what_is_to_be_predicted(place: Path) -> None:
    found = inspect_data(recipe(place, "mlm", "bert", "wordpiece"), examples=1)
    [[row]] = [example["rows"] for example in found["examples"]]
    scored = [piece for piece in row if piece.kind == "scored"]
    seen = sum(piece.kind in ("scored", "text", "special") for piece in row)
    assert len(scored) / seen == pytest.approx(0.3, abs=0.1)
    assert any(piece.text == "[MASK]" and piece.wanted.isalnum() for piece in scored)
    restored = " ".join(piece.wanted or piece.text for piece in row if piece.kind in ("scored", "text"))
    assert "robin hood and" in restored
    assert sum(piece.kind == "border" for piece in row) > 1
    assert found["rates"]["predictions of mlm a token"] == pytest.approx(0.3, abs=0.1)


def test_what_is_double_and_what_overlaps_is_counted(place: Path) -> None:
    found = inspect_data(recipe(place, "clm", "gpt2", "bpe"))
    assert found["documents"] == 52
    assert found["duplicate documents"] == 2
    assert found["validation documents that are in train too"] == {"validation": "1 of 2"}
    assert found["tokens of a document"]["shortest"] <= found["tokens of a document"]["longest"]


def test_a_tasks_rows_are_shown_with_their_targets(place: Path) -> None:
    start = lmkit.pretrain(recipe(place, "mlm", "bert", "wordpiece"), run=place / "start", quiet=True)
    rows = [{"text": f"number {n} is {'odd' if n % 2 else 'even'}", "label": "yn"[n % 2]} for n in range(20)]
    (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]))
    task = place / "task.toml"
    task.write_text('[task]\nuse = "classification"\n[data]\ntrain = ["rows.jsonl"]\n[train]\nepochs = 1\n')
    found: dict[str, Any] = inspect_data(task, start=start.folder, examples=2)
    assert {example["target"] for example in found["examples"]} <= {"y", "n"}
    assert found["labels"] == {"y": 11, "n": 10}
    assert found["duplicate examples"] == 1
    with pytest.raises(lmkit.ConfigError, match="is a task's file: --from DIR names the run"):
        inspect_data(task)


def test_documents_that_are_almost_the_same_are_counted(place: Path) -> None:
    long = " ".join(f"and the {n}th of his men went to the wood that day" for n in range(30))
    lines = (place / "text.txt").read_text().splitlines()
    (place / "text.txt").write_text("\n".join([*lines, long, f"{long} again", f"again {long}"]) + "\n")
    (place / "held.txt").write_text(f"{long} at last\nMaid Marian was in the castle with the Sheriff and his men.\n")
    found = inspect_data(recipe(place, "clm", "gpt2", "bpe"), near=True)
    doubles, looked = map(int, found["near-duplicate documents"].split(" of "))
    assert looked == 55
    assert doubles >= 4  # the two that are there twice, and the two that are almost
    assert found["validation documents that are nearly in train"] == {"validation": "1 of 2"}
