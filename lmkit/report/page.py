"""Page: one HTML file that opens from disk, with nothing in it that is fetched or run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined

Table = tuple[Sequence[str], Sequence[Sequence[Any]]]


def page(*, title: str, facts: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> str:
    """The HTML of a report.

    `facts` stand at its head. Each of `parts` has a heading and some of: "text", "figures" (SVG that curves.py drew,
    the only thing that is not escaped), "tables" and "code".
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = (resources.files("lmkit.templates") / "report.html.in").read_text(encoding="utf-8")
    return environment.from_string(template).render(title=title, facts=facts, parts=parts, said=said)


def said(value: Any) -> str:
    """A cell of a table, for people."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        case list() | tuple():
            return ", ".join(map(said, value))
        case dict():
            return ", ".join(f"{key} {said(item)}" for key, item in value.items())
    return str(value)
