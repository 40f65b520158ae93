"""python -m benchmarks.defects [row ...]: run every row on both sides, print one table, write a dated report."""

import argparse
import contextlib
import importlib
import os
import sys
from pathlib import Path

import attrs

from benchmarks import machine, report
from benchmarks.defects.finding import Finding

ROWS = ("accumulation", "resume", "validation", "packing", "partial", "not_a_number")
SIDES = ("lmkit", "trainer")


def cell(finding: Finding) -> str:
    """A side's Finding as a table's cell."""
    return f"{'**holds**' if finding.holds else '**fails**'}: {finding.figures}".replace("|", "/").replace("\n", " ")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.defects", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)}; without one: all")
    parser.add_argument("--side", choices=SIDES, help="only this one; nothing is written then")
    parser.add_argument("--out", type=Path, default=report.REPORTS, help="folder of the report")
    options = parser.parse_args()
    if unknown := sorted(set(options.rows) - set(ROWS)):
        parser.error(f"no row named {', '.join(unknown)}; there are {', '.join(ROWS)}")
    lines, figures = [], {}
    sides = [options.side] if options.side else SIDES
    for row in options.rows or ROWS:
        print(row, file=sys.stderr)
        module = importlib.import_module(f"benchmarks.defects.{row}")
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            findings = {side: getattr(module, side)() for side in sides}
        lines.append([module.CLAIM, *map(cell, findings.values())])
        figures[row] = {"claim": module.CLAIM, **{side: attrs.asdict(f) for side, f in findings.items()}}
    described = machine.describe()
    versions = ", ".join(f"{package} {version}" for package, version in described["versions"].items())
    markdown = f"# Defects, on both sides\n\n{report.table(['claim', *sides], lines)}\n\nVersions: {versions}.\n"
    print(markdown)
    if not options.side and not options.rows:
        print(report.write("defects", markdown, {"rows": figures, "machine": described}, options.out), file=sys.stderr)
    return 0 if all(row["lmkit"]["holds"] for row in figures.values() if "lmkit" in row) else 1


if __name__ == "__main__":
    sys.exit(main())
