"""Notebook: answers that are tables, with a form for Jupyter; what is in them is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from lmkit.report.page import said


class Shown(dict[str, Any]):
    """A dict that Jupyter shows as `html`."""

    def __init__(self, values: Mapping[str, Any], html: str) -> None:
        super().__init__(values)
        self._html = html

    def _repr_html_(self) -> str:
        return self._html


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """An HTML table."""
    lines = [f"<tr>{''.join(f'<th>{escape(str(cell))}</th>' for cell in head)}</tr>"] if any(head) else []
    lines += [f"<tr>{''.join(f'<td>{escape(said(cell))}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"


_STYLES = {
    "special": "opacity: 0.55",
    "scored": "background: #ffd75e; color: #222; font-weight: bold",
    "filler": "opacity: 0.4",
}


def tokens(rows: Iterable[Sequence[tuple[str, str, str]]]) -> str:
    """Rows of (text, kind, what is wanted there) as coloured text."""
    return "".join(f'<p style="font-family: monospace">{"".join(map(_span, row))}</p>' for row in rows)


def _span(piece: tuple[str, str, str]) -> str:
    text, kind, wanted = piece
    if kind == "border":
        return '<span style="color: #c33"> / </span>'
    style = f' style="{_STYLES[kind]}"' if kind in _STYLES else ""
    title = f' title="wanted: {escape(wanted, quote=True)}"' if wanted else ""
    return f"<span{style}{title}>{escape(text)}</span>"
