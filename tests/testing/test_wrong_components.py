"""One table: each deliberately wrong component fails the checks that are about its mistake, and no other check."""

import re
from pathlib import Path
from typing import Any

import pytest

from lmkit.testing import Continuing, Prefixed, checks, run_checks
from lmkit.testing.results import report
from tests.testing import wrong_encoders, wrong_objectives, wrong_tasks, wrong_tokenizers

LONG = {"four_examples_are_learned", "random_tokens_cannot_be_predicted"}
"""Checks that train for a second or more: without them, where they should pass, the table is quick."""
TABLE = [
    *((component, wrong, {}) for component, wrong in wrong_objectives.WRONG.items()),
    *((component, wrong, {}) for component, wrong in wrong_encoders.WRONG.items()),
    *((component, wrong, {}) for component, wrong in wrong_tokenizers.WRONG.items()),
    *(
        (component, wrong, {"rows": wrong_tasks.ROWS, "right": wrong_tasks.right})
        for component, wrong in wrong_tasks.WRONG.items()
    ),
]


def failed(component: type[Any], more: dict[str, Any], names: set[str] | None, leave_out: set[str]) -> set[str]:
    found = checks(component, component.Config(), **more)
    chosen = [c for c in found if c.name not in leave_out and (names is None or c.name in names)]
    done = report(component.__name__, chosen)
    assert done.ran > 0
    return {result.name for result in done.failures}


@pytest.mark.parametrize(("component", "wrong", "more"), TABLE, ids=[row[0].__name__ for row in TABLE])
def test_a_wrong_component_fails_the_right_checks_and_no_other(
    component: type[Any], wrong: set[str], more: dict[str, Any]
) -> None:
    assert failed(component, more, None, LONG - wrong) == wrong


@pytest.mark.slow
@pytest.mark.parametrize(("component", "wrong", "more"), TABLE, ids=[row[0].__name__ for row in TABLE])
def test_a_wrong_component_passes_the_long_checks_that_are_not_about_it(
    component: type[Any], wrong: set[str], more: dict[str, Any]
) -> None:
    if names := LONG - wrong & {check.name for check in checks(component, component.Config(), **more)}:
        assert not failed(component, more, names, set())


def test_the_readme_of_plugins_says_what_is_so() -> None:
    text = (Path(__file__).parents[2] / "plugins" / "README.md").read_text(encoding="utf-8")
    section = text.partition("## What the kit finds")[2].partition("## ")[0]
    assert f"\n{sum(bool(wrong) for _, wrong, _ in TABLE)} components" in section
    rows = [re.findall("`([a-z0-9_]+)`", line) for line in section.splitlines() if line.startswith("| ")][1:]
    found = [wrong for _, wrong, _ in TABLE]
    assert len(rows) > 15
    for checks_named in rows:
        assert checks_named
        assert set(checks_named) <= set().union(*(wrong for wrong in found if wrong & set(checks_named)))


def test_every_check_finds_a_mistake_of_the_table() -> None:
    """A check that no wrong component fails might be one that cannot fail."""
    found = set().union(*(wrong for _, wrong, _ in TABLE))
    known = {check.name for component, _, more in TABLE for check in checks(component, component.Config(), **more)}
    untried = {
        "states_have_their_shape",
        "segments_default_to_the_first",
        "pooler_is_its_own",
        "every_row_is_answered",
        "no_rows_have_no_answers",
        "objective_adds_up",
    }
    assert known - found == untried


@pytest.mark.parametrize("reference", [Continuing, Prefixed])
def test_the_reference_objectives_conform(reference: type[Any]) -> None:
    done = run_checks(reference)
    assert done.passed, str(done)
