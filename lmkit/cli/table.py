"""Table: names and values in two columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def table(values: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """A line for each value; a mapping inside another one is indented, a list has a line for each of its items."""
    width = max((len(name) for name, value in values.items() if not isinstance(value, Mapping)), default=0)
    for name, value in values.items():
        if isinstance(value, Mapping):
            if value:
                yield f"{indent}{_words(name)}"
                yield from table(value, indent + "  ")
        elif isinstance(value, (list, tuple)):
            for number, item in enumerate(value):
                yield f"{indent}{_words(name) if number == 0 else '':{width}}  {said(item)}"
        else:
            yield f"{indent}{_words(name):{width}}  {said(value)}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def said(value: Any) -> str:
    """A value, for people."""
    match value:
        case bool():
            return "yes" if value else "no"
        case None:
            return "unknown"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)
