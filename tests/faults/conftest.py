"""How many cases a fault is tried with: few at each commit, more at night, many before a release."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.run.recipes import write_book

TIERS = ("quick", "nightly", "release")
Cases = Callable[..., int]


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of paragraphs."""
    return write_book(tmp_path_factory.mktemp("book"))


@pytest.fixture
def cases(record_property: Callable[[str, object], None]) -> Cases:
    """The number of cases of this tier, which the table of `python -m tests.faults` tells."""
    tier = os.environ.get("LMKIT_FAULTS", TIERS[0])

    def number(quick: int, nightly: int, release: int) -> int:
        chosen = dict(zip(TIERS, (quick, nightly, release), strict=True))[tier]
        record_property("cases", chosen)
        return chosen

    return number


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str, object], None]:
    """Notes a figure for the table."""
    return record_property
