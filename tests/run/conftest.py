"""A book, and one trained run of each kind for the tests that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest

import lmkit
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
