"""python -m benchmarks [row ...] [--repeats N]: measure rows, write a dated report of each into benchmarks/reports."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.measure import alternate
from benchmarks.places import ROOT
from benchmarks.rows import ROWS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)}; without one: all")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side")
    parser.add_argument("--sides", nargs="*", metavar="SIDE", help="of each row; without it: all")
    parser.add_argument("--out", type=Path, default=report.REPORTS, help="folder of the reports")
    options = parser.parse_args()
    if unknown := sorted(set(options.rows) - set(ROWS)):
        parser.error(f"no row named {', '.join(unknown)}; there are {', '.join(ROWS)}")
    machine_command = [sys.executable, "-m", "benchmarks.machine"]
    for name in options.rows or ROWS:
        row = ROWS[name]
        print(name, file=sys.stderr)
        measured = subprocess.run(machine_command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        machine = json.loads(measured)
        sides = [one for one in row.contenders if not options.sides or one.name in options.sides]
        if not sides:
            continue
        measurements = alternate(sides, options.repeats, row.unit)
        markdown = report.page(name, row.about, row.unit, measurements, machine)
        print(report.write(name, markdown, report.figures(measurements, machine), options.out))


if __name__ == "__main__":
    main()
