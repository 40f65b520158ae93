"""One cell: a labelled set, learned from a run's weights with one seed, and scored on its test rows."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import lmkit
from benchmarks.finetuning.workloads import WORKLOADS, recipe_of
from lmkit.cli.memory import keep_freed_memory
from lmkit.report.metrics import read_metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--start", type=Path, required=True, help="the run that it is learned from")
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("--validation", action="store_true", help="score the validation rows: for choosing a recipe")
    options = parser.parse_args()
    keep_freed_memory()  # as the command does
    start = lmkit.load(options.start)
    recipe = recipe_of(options.workload, options.splits, options.seed, options.changes)
    rows = options.splits / options.workload / ("validation.jsonl" if options.validation else "test.jsonl")
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        run = lmkit.finetune(start, recipe, run=Path(folder) / "run", quiet=True)
        seconds = time.perf_counter() - begun
        events = read_metrics(run.folder / "metrics.jsonl")
        found = lmkit.evaluate(run, rows=rows)["rows"]
    [finished] = [event for event in events if event["event"] == "finished"]
    print(
        json.dumps(
            {
                "metrics": {name: found[name] for name in WORKLOADS[options.workload].metrics},
                "intervals": {name: found["intervals"][name] for name in WORKLOADS[options.workload].metrics},
                "rows": found["rows"],
                "seconds": seconds,
                "seconds_of_steps": finished["seconds"],
                "tokens": finished["tokens"],
                "steps": finished["step"],
                "best_step": run.step,
            }
        )
    )


if __name__ == "__main__":
    main()
