"""What `lmkit` offers: one list, sorted, resolved lazily, and the same for people, tools and type checkers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import lmkit
from lmkit import errors

SOURCE = ast.parse(Path(lmkit.__file__).read_text(encoding="utf-8"))


def test_public_names_are_listed_in_order() -> None:
    assert lmkit.__all__ == sorted(lmkit.__all__)
    assert len(set(lmkit.__all__)) == len(lmkit.__all__)


@pytest.mark.parametrize("name", lmkit.__all__)
def test_each_public_name_is_there(name: str) -> None:
    value = getattr(lmkit, name)
    assert getattr(lmkit, name) is value
    assert getattr(value, "__name__", name) in (name, "HookimplMarker")


def test_type_checkers_see_the_same_names() -> None:
    [block] = [node for node in SOURCE.body if isinstance(node, ast.If)]
    imported = [alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    declared = [node.target.id for node in block.body if isinstance(node, ast.AnnAssign)]  # type: ignore[union-attr]
    assert sorted(imported + declared) == lmkit.__all__


def test_every_error_is_public() -> None:
    raised = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert len(raised) > 5
    assert raised <= set(lmkit.__all__)


def test_names_that_are_not_there_are_refused() -> None:
    with pytest.raises(AttributeError, match=r"^module 'lmkit' has no attribute 'nothing'$"):
        _ = lmkit.nothing
    assert set(lmkit.__all__) <= set(dir(lmkit))
