"""python -m benchmarks [row ...] [--repeats N]: measure rows, write a dated report of each into benchmarks/reports."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.measure import ROOT, Contender, alternate
from benchmarks.workloads import WORKLOADS

ABOUT = "{model}, 4 layers x 256, vocabulary 8,192, 64 blocks of 128 tokens a step, books/train."


def contenders(row: str) -> list[Contender]:
    """lmkit as it comes and without a compiler; the Trainer as it comes and at its best."""
    return [
        Contender(name="lmkit", arguments=("benchmarks.train_lmkit", row)),
        Contender(name="trainer", arguments=("benchmarks.train_trainer", row)),
        Contender(name="lmkit-eager", arguments=("benchmarks.train_lmkit", row, "--eager")),
        Contender(name="trainer-best", arguments=("benchmarks.train_trainer", row, "--best")),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(WORKLOADS)}; without one: all")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side")
    parser.add_argument("--out", type=Path, default=report.REPORTS, help="folder of the reports")
    options = parser.parse_args()
    if unknown := sorted(set(options.rows) - set(WORKLOADS)):
        parser.error(f"no row named {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    machine_command = [sys.executable, "-m", "benchmarks.machine"]
    machine = json.loads(subprocess.run(machine_command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    for row in options.rows or WORKLOADS:
        print(row, file=sys.stderr)
        measurements = alternate(contenders(row), options.repeats)
        markdown = report.training(row, ABOUT.format(model=WORKLOADS[row].model), measurements, machine)
        print(report.write(row, markdown, report.figures(measurements, machine), options.out))


if __name__ == "__main__":
    main()
