"""The plan names tests that there are."""

from __future__ import annotations

from pathlib import Path

from tests.faults.__main__ import functions
from tests.faults.plan import PLAN

ROOT = Path(__file__).parents[2]


def test_every_row_names_tests_that_there_are() -> None:
    for row in PLAN:
        for test in row.tests:
            path = test.partition("::")[0]
            assert (ROOT / path).exists(), test
            assert len(functions([row])) >= 1
            assert path == test or any(found.startswith(test) for found in functions([row])), test
    assert [row.number for row in PLAN] == list(range(1, 38))
