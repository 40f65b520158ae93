"""Each objective on one encoder, the same minutes, the same books: what each teaches, side by side.

    python -m benchmarks.objectives FOLDER --splits SPLITS --data DATA [--minutes 10] [--jobs 2] [--only clm mlm ...]

`FOLDER` gets a run for each objective and `cells.jsonl`; cells that the file has are not made again.  `SPLITS` is what
`python -m benchmarks.finetuning.splits` made, `DATA` what LMKIT_DATA names.  All train a Qwen3 of 4 layers x 256, whose
attention is what an objective asks for; those that read across, a T5 of 2 + 2 layers.  Each has one core to itself, and
as many are made at once as `--jobs` says.  First all are trained, which wants a machine that does nothing else; the
rest comes after, and does not (`--train-only` stops between the two).  At the end the table is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs

import lmkit
from lmkit.cli.memory import keep_freed_memory
from lmkit.report.metrics import read_metrics

QWEN3 = {"use": "qwen3", "layers": 4, "width": 256}
T5 = {"use": "t5", "layers": 2, "width": 256}
ADAPTED = "sentiment_mr"
"""The labelled set that each is fine-tuned on."""


@attrs.frozen
class Subject:
    """An objective, and the encoder that it trains."""

    objective: Mapping[str, Any]
    encoder: Mapping[str, Any] = attrs.field(factory=lambda: QWEN3)
    tokenizer: Mapping[str, Any] = attrs.field(factory=dict)
    causal: bool = False
    """Whether a classifier on it reads causally, as it was trained."""


SUBJECTS = {
    "clm": Subject({"use": "clm"}, causal=True),
    "mlm": Subject({"use": "mlm", "rate": 0.3, "final_rate": 0.15}),
    "mlm, words": Subject({"use": "mlm", "rate": 0.3, "final_rate": 0.15, "unit": "word"}),
    "mlm, spans": Subject({"use": "mlm", "rate": 0.3, "final_rate": 0.15, "unit": "span"}),
    "prefix-lm": Subject({"use": "prefix-lm"}),
    "fim": Subject({"use": "fim"}, tokenizer={"middle": True}, causal=True),
    "hybrid": Subject({"use": "hybrid"}),
    "rtd": Subject({"use": "rtd"}),
    "span-denoising": Subject({"use": "span-denoising"}, T5, {"marks": 100}),
    "span-denoising, UL2": Subject({"use": "span-denoising", "mixture": "ul2"}, T5, {"marks": 100}),
}


def trained(name: str, folder: Path, minutes: float, data: Path) -> lmkit.Run:
    """The run of an objective, made where it is not there."""
    place = folder / name.replace(", ", "-").lower()
    if place.exists():
        return lmkit.load(place)
    subject = SUBJECTS[name]
    recipe = {
        "tokenizer": {"use": "bpe", "vocab_size": 8192, **subject.tokenizer},
        "data": {"train": [f"{data}/books/train/**/*.md"], "validation": [f"{data}/books/validation/**/*.md"]},
        "encoder": dict(subject.encoder),
        "objective": dict(subject.objective),
        "train": {
            "minutes": minutes,
            "threads": 1,
            "block_tokens": 128,
            "batch_tokens": 4096,
            "evaluate_every_steps": 100_000,
        },
    }
    return lmkit.pretrain(recipe, run=place, quiet=True)


def cell(name: str, folder: Path, minutes: float, data: Path, splits: Path) -> dict[str, Any]:
    """All that is measured of an objective."""
    run = trained(name, folder, minutes, data)
    events = read_metrics(run.folder / "metrics.jsonl")
    [finished] = [event for event in events if event["event"] == "finished"]
    validation = next(event["terms"] for event in reversed(events) if event["event"] == "evaluated")
    speeds = sorted(event["tokens_per_second"] for event in events if event["event"] == "step")
    found: dict[str, Any] = {
        "objective": name,
        "parameters": sum(p.numel() for p in run.module.encoder.parameters()),
        "tokens": finished["tokens"],
        "tokens_per_second": speeds[len(speeds) // 2],
        "validation": validation,
    }
    if run.head_kind in ("next-token", "masked-next-token"):
        books = sorted((data / "books" / "validation").rglob("*.md"))
        found["bits_per_byte"] = lmkit.evaluate(run, text=books)["text"].get("bits_per_byte")
    if run.head_kind in ("next-token", "masked-next-token", "token"):
        pairs = lmkit.evaluate(run, minimal_pairs=[data / "blimp"])["minimal_pairs"]
        found["blimp"] = pairs["mean"]["accuracy"]
    recipe = {
        "task": {
            "use": "classification",
            "pooling": "mean",
            "attention": "causal" if SUBJECTS[name].causal else "bidirectional",
        },
        "data": {kind: [str(splits / ADAPTED / f"{kind}.jsonl")] for kind in ("train", "validation")},
        "train": {
            "epochs": 3,
            "threads": 1,
            "batch_tokens": 4096,
            "optimizer": "adamw",
            "learning_rate": 0.0003,
            "schedule": "linear",
            "warmup": 0.1,
            "weight_decay": 0.01,
        },
    }
    accuracies = []
    for seed in (1, 2, 3):
        place = run.folder.with_name(f"{run.folder.name}-{ADAPTED}-{seed}")
        done = place.exists()
        tuned = lmkit.load(place) if done else lmkit.finetune(run, {**recipe, "seed": seed}, run=place, quiet=True)
        accuracies.append(lmkit.evaluate(tuned, rows=splits / ADAPTED / "test.jsonl")["rows"]["accuracy"])
    return {**found, ADAPTED: accuracies}


def table(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """The cells as Markdown."""
    lines = [
        "| objective | tokens | tokens/s | its own loss | bits per byte | BLiMP | film reviews, 3 seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in cells:
        terms = ", ".join(f"{name} {value:.3f}" for name, value in one["validation"].items())
        bits, pairs = one.get("bits_per_byte"), one.get("blimp")
        reviews = one[ADAPTED]
        lines.append(
            f"| {one['objective']} | {one['tokens'] / 1e6:.1f} M | {one['tokens_per_second']:,.0f} | {terms} | "
            f"{'' if bits is None else f'{bits:.3f}'} | {'' if pairs is None else f'{100 * pairs:.1f}'} | "
            f"{100 * sum(reviews) / len(reviews):.1f} ({100 * min(reviews):.1f} to {100 * max(reviews):.1f}) |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="what LMKIT_DATA names")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", nargs="*", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--train-only", action="store_true", help="train, and measure another time")
    parser.add_argument("--train", choices=SUBJECTS, help="train this one in this process")
    parser.add_argument("--cell", choices=SUBJECTS, help="measure this one in this process, and print it")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once")
    options = parser.parse_args()
    if options.train or options.cell:
        keep_freed_memory()  # as the command does
    if options.train:
        trained(options.train, options.folder, options.minutes, options.data)
        return
    if options.cell:
        made = cell(options.cell, options.folder, options.minutes, options.data, options.splits)
        print(json.dumps(made))
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    file: Path = options.folder / "cells.jsonl"
    kept = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def child(stage: str, name: str) -> str:
        """What a process that does this stage of this objective prints; nothing where it failed."""
        command = [sys.executable, "-m", "benchmarks.objectives", *sys.argv[1:], stage, name]
        alone = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
        if done.returncode:
            print(f"{name} failed:\n{done.stderr[-3000:]}", file=sys.stderr)
            return ""
        return done.stdout

    def measure(name: str) -> None:
        if printed := child("--cell", name):
            kept.append(json.loads(printed.splitlines()[-1]))
            with file.open("a") as cells:
                cells.write(json.dumps(kept[-1]) + "\n")

    wanted = [name for name in options.only if all(one["objective"] != name for one in kept)]
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda name: child("--train", name), wanted))
        if options.train_only:
            return
        list(pool.map(measure, wanted))
    print("\n".join(table(sorted(kept, key=lambda one: list(SUBJECTS).index(one["objective"])))))


if __name__ == "__main__":
    main()
