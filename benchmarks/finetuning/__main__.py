"""Every labelled set from a checkpoint, from scratch and with the Trainer, cell by cell; each is kept as it ends.

    python -m benchmarks.finetuning RUN SPLITS --cells CELLS.jsonl [--only sentiment_mr ...] [--seeds 1,2,3]

`RUN` is a pre-trained run; one that did not learn to fill masks wants `--as-it-is`, and lmkit's arms alone.  Cells that
the file has are not made again, so that a run that was stopped goes on; lmkit and the Trainer take turns, each in a
process of its own.  A start that reads a set's texts first is made once, for both, beside the file.  At the end the
table is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lmkit
from benchmarks.finetuning.workloads import WORKLOADS, adaptation_of
from lmkit.checkpoint import of_step
from lmkit.config import read
from lmkit.run.folder import CONFIG

ARMS = ("lmkit", "Trainer", "scratch")
Cell = dict[str, Any]


def untrained(run: Path, folder: Path) -> Path:
    """A run with the tokenizer and the encoder of another, whose weights are as they were drawn."""
    loaded, config = lmkit.load(run), read(run / CONFIG)
    encoder, train = dict(config["encoder"]), dict(config["train"])
    text = folder / "text.txt"
    text.write_text("One step at a learning rate of zero changes nothing. " * 40)
    tokenizer = of_step(run, loaded.step).folder("tokenizer")
    recipe = {
        "tokenizer": {"use": config["tokenizer"]["use"], "folder": str(tokenizer)},
        "data": {"train": [str(text)]},
        "encoder": encoder,
        "objective": dict(config["objective"]),
        "train": {
            **{name: train[name] for name in ("block_tokens", "batch_tokens")},
            "steps": 1,
            "learning_rate": 0.0,
            "matrix_learning_rate": 0.0,
            "compile": "off",
        },
    }
    return lmkit.pretrain(recipe, run=folder / "untrained", quiet=True).folder


def adapted(run: Path, workload: str, splits: Path, folder: Path) -> Path:
    """The run that a set is learned from: what `run` became by reading the set's training texts, if it is to."""
    if not WORKLOADS[workload].adapts:
        return run
    made = folder / f"{workload}-adapted"
    if not made.exists():
        lmkit.finetune(run, adaptation_of(workload, splits), run=made, quiet=True)
    return made


def made(arm: str, workload: str, seed: int, start: Path, splits: Path, changes: Sequence[str]) -> Cell:
    """One cell, in a process of its own."""
    module = "benchmarks.finetuning.peer" if arm == "Trainer" else "benchmarks.finetuning.cell"
    command = [sys.executable, "-m", module, workload, "--start", str(start), "--splits", str(splits)]
    polite = {
        **os.environ,
        "GOMP_SPINCOUNT": "20000",
    }  # as lmkit's own commands ask, for all arms: the machine is shared
    command += ["--seed", str(seed), *(word for change in changes for word in ("--set", change))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=polite)
    if done.returncode:
        raise SystemExit(f"{arm} on {workload} failed:\n{done.stderr[-3000:]}")
    return {"arm": arm, "workload": workload, "seed": seed, **json.loads(done.stdout.splitlines()[-1])}


def table(cells: Sequence[Cell]) -> list[str]:
    """Markdown: for each set and arm the mean and spread of its metrics over the seeds, and the median seconds."""
    lines = ["| set | metric | " + " | ".join(ARMS) + " | seconds | Trainer's | ratio |", "|---|---|" + "---|" * 6]
    for name, workload in WORKLOADS.items():
        some = {arm: [c for c in cells if c["workload"] == name and c["arm"] == arm] for arm in ARMS}
        seconds = {
            arm: statistics.median(c["seconds"] for c in found) if found else None for arm, found in some.items()
        }
        for metric in workload.metrics:
            shown = [_spread([c["metrics"][metric] for c in some[arm]]) for arm in ARMS]
            ours, theirs = seconds.get("lmkit"), seconds.get("Trainer")
            times = [f"{s:.0f}" if s else "-" for s in (ours, theirs)]
            ratio = f"{theirs / ours:.1f}" if ours and theirs else "-"
            lines.append(f"| {name} | {metric} | {' | '.join([*shown, *times, ratio])} |")
    return lines


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.fmean(values):.1f} ± {100 * spread:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("splits", type=Path)
    parser.add_argument("--cells", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--arms", nargs="*", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--as-it-is", action="store_true", help="no start reads a set's texts first")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE", help="of lmkit's")
    options = parser.parse_args()
    if "Trainer" in options.arms and options.changes:
        parser.error("--set changes lmkit's recipes alone: leave the Trainer out of --arms")
    splits: Path = options.splits
    kept = [json.loads(line) for line in options.cells.read_text().splitlines()] if options.cells.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        scratch = untrained(options.run, Path(folder)) if "scratch" in options.arms else options.run
        for seed in map(int, options.seeds.split(",")):
            for workload in options.only:
                for arm in options.arms:
                    if any((c["arm"], c["workload"], c["seed"]) == (arm, workload, seed) for c in kept):
                        continue
                    start = scratch if arm == "scratch" else options.run
                    if arm != "scratch" and not options.as_it_is:
                        start = adapted(options.run, workload, splits, options.cells.parent)
                    kept.append(made(arm, workload, seed, start, splits, options.changes))
                    with options.cells.open("a") as file:
                        file.write(json.dumps(kept[-1]) + "\n")
                    print(json.dumps(kept[-1]), file=sys.stderr, flush=True)
    print("\n".join(table(kept)))


if __name__ == "__main__":
    main()
