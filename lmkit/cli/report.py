"""`lmkit report` and `lmkit compare`: what runs did, as pages and in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from lmkit.cli.answer import Answer
from lmkit.cli.command import Folder
from lmkit.cli.table import said

Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="An HTML file.", show_default=False)]


def report(run: Folder, *, out: Out = None) -> Answer:
    """Write a run's report, one page that opens from disk.

    It has curves, config, data and versions, and lies in DIR/report.html unless --out says otherwise.
    """
    import lmkit.run

    path = lmkit.run.write_report(run, out=out)
    return Answer.of({"page": str(path)}, f"wrote {path}: open it in a browser")


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Runs' folders.", show_default=False)],
    *,
    out: Out = None,
) -> Answer:
    """Lay runs side by side: results, curves, configs.

    With --out also as a page.
    """
    import lmkit.run

    found = lmkit.run.compare(runs, out=out)
    return Answer.of(found, *_lines(found))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    names = list(found["runs"])
    measures = list(dict.fromkeys(key for one in found["runs"].values() for key in one))
    yield from _columns(names, {m.replace("_", " "): [found["runs"][n].get(m) for n in names] for m in measures})
    yield ""
    width = max(map(len, names))
    yield from (f"{name:{width}}  {curve}" for name, curve in found["curves"].items())
    if found["differences"]:
        yield ""
        yield from _columns(names, {key: [of[name] for name in names] for key, of in found["differences"].items()})
    if "page" in found:
        yield f"wrote {found['page']}: open it in a browser"


def _columns(names: list[str], rows: Mapping[str, list[Any]]) -> Iterator[str]:
    table = [["", *names], *([key, *("-" if v is None else said(v) for v in of)] for key, of in rows.items())]
    widths = [max(len(row[column]) for row in table) for column in range(len(names) + 1)]
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
