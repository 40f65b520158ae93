"""A book, and one trained run of each kind for the tests that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest

import lmkit
from tests.run.exports import pretrained
from tests.run.labelled import BOOK, TRAIN
from tests.run.recipes import recipe, write_book


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of paragraphs."""
    return write_book(tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, book: Path) -> dict[str, lmkit.Run]:
    """A run of each kind."""
    folder = tmp_path_factory.mktemp("trained")
    return {
        kind: lmkit.pretrain(recipe(kind, book, steps=30), run=folder / kind, quiet=True) for kind in ("mlm", "clm")
    }


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> lmkit.Run:
    """A masked model that knows the words of the labelled rows."""
    folder = tmp_path_factory.mktemp("bert")
    (folder / "book.txt").write_text(BOOK)
    table = {
        "tokenizer": {"use": "wordpiece", "vocab_size": 300},
        "data": {"train": [str(folder / "book.txt")], "document": "line"},
        "encoder": {"use": "bert", "layers": 1, "width": 32, "heads": 2},
        "objective": {"use": "mlm"},
        "train": {**TRAIN, "steps": 20, "block_tokens": 32, "batch_tokens": 512},
    }
    return lmkit.pretrain(table, run=folder / "run", quiet=True)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with the files of a tokenizer."""
    folders = {}
    for encoder in ("bert", "gpt2"):
        folder = tmp_path_factory.mktemp(encoder)
        run = pretrained(folder, encoder, {"bert": "mlm", "gpt2": "clm"}[encoder])
        (folder / "tokenizer").mkdir()
        run.tokenizer.save(folder / "tokenizer")
        folders[encoder] = folder / "tokenizer"
    return folders
