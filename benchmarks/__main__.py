"""python -m benchmarks [row ...] [--repeats N]: measure rows, write a dated report of each into benchmarks/reports."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.measure import ROOT, Contender, alternate

ABOUT = "{model}, 4 layers x 256, vocabulary 8,192, 64 blocks of 128 tokens a step, books/train."
ROWS = {
    "mlm-4x256": ("mlm", "BERT, masked language modelling"),
    "clm-4x256": ("clm", "GPT-2, causal language modelling"),
}


def contenders(objective: str) -> list[Contender]:
    """lmkit as it comes and without a compiler; the Trainer as it comes and at its best."""
    return [
        Contender(name="lmkit", arguments=("benchmarks.train_lmkit", objective)),
        Contender(name="trainer", arguments=("benchmarks.train_trainer", objective)),
        Contender(name="lmkit-eager", arguments=("benchmarks.train_lmkit", objective, "--eager")),
        Contender(name="trainer-best", arguments=("benchmarks.train_trainer", objective, "--best")),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)}; without one: all")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side")
    parser.add_argument("--out", type=Path, default=report.REPORTS, help="folder of the reports")
    options = parser.parse_args()
    if unknown := sorted(set(options.rows) - set(ROWS)):
        parser.error(f"no row named {', '.join(unknown)}; there are {', '.join(ROWS)}")
    machine_command = [sys.executable, "-m", "benchmarks.machine"]
    machine = json.loads(subprocess.run(machine_command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    for row in options.rows or ROWS:
        objective, model = ROWS[row]
        print(row, file=sys.stderr)
        measurements = alternate(contenders(objective), options.repeats)
        markdown = report.training(row, ABOUT.format(model=model), measurements, machine)
        print(report.write(row, markdown, report.figures(measurements, machine), options.out))


if __name__ == "__main__":
    main()
