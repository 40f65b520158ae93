"""What of the recipe is worth what: one change at a time, equal tokens, two seeds, bits per byte or loss at the end.

    python -m benchmarks.recipe CELLS.jsonl [--tokens 3M] [--jobs 2] [--only NAME ...] [--seeds 1 2]

All train 4 layers x 256 on books/train with one thread each and validate on books/validation. The first of each
objective has Muon at 0.01, with AdamW at 0.001 for the rest; every other line differs from it in what its name says.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lmkit
from benchmarks.cells import make_cells
from benchmarks.places import DATA
from lmkit.cli.memory import keep_freed_memory
from lmkit.report.metrics import read_metrics

CLM = {"encoder.use": "qwen3", "objective.use": "clm"}
MLM = {"encoder.use": "modernbert", "objective.use": "mlm", "objective.rate": 0.3, "objective.final_rate": 0.15}
ADAMW = {"train.optimizer": "adamw"}
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "clm": CLM,
    "clm, AdamW 0.001": {**CLM, **ADAMW, "train.learning_rate": 0.001},
    "clm, AdamW 0.003": {**CLM, **ADAMW, "train.learning_rate": 0.003},
    "clm, Muon 0.02": {**CLM, "train.matrix_learning_rate": 0.02},
    "clm, Muon 0.005": {**CLM, "train.matrix_learning_rate": 0.005},
    "clm, AdamW of the rest 0.003": {**CLM, "train.learning_rate": 0.003},
    "clm, AdamW of the rest 0.01": {**CLM, "train.learning_rate": 0.01},
    "clm, batch warm-up": {**CLM, "train.batch_warmup": 0.3},
    "clm, cosine": {**CLM, "train.schedule": "cosine"},
    "clm, linear": {**CLM, "train.schedule": "linear"},
    "clm, no weight decay": {**CLM, "train.weight_decay": 0.0},
    "clm, gpt2": {**CLM, "encoder.use": "gpt2"},
    "clm, hybrid objective": {**CLM, "objective.use": "hybrid"},
    "clm, z-loss": {**CLM, "objective.z_loss": 0.0001},
    "mlm": MLM,
    "mlm, AdamW of the rest 0.003": {**MLM, "train.learning_rate": 0.003},
    "mlm, rate 0.15": {**MLM, "objective.rate": 0.15},
    "mlm, rate 0.3": {**MLM, "objective.final_rate": 0.3},
    "mlm, AdamW 0.001": {**MLM, **ADAMW, "train.learning_rate": 0.001},
    "mlm, AdamW 0.003": {**MLM, **ADAMW, "train.learning_rate": 0.003},
    "mlm, bert": {**MLM, "encoder.use": "bert"},
    "mlm, spans": {**MLM, "objective.unit": "span"},
}


def made(name: str, seed: int, tokens: str) -> dict[str, Any]:
    """One run, and what it came to."""
    tables: dict[str, Any] = {
        "seed": seed,
        "tokenizer": {"use": "bpe", "vocab_size": 8192},
        "data": {"train": [f"{DATA}/books/train/**/*.md"], "validation": [f"{DATA}/books/validation/**/*.md"]},
        "encoder": {"layers": 4, "width": 256},
        "objective": {},
        "train": {
            "tokens": tokens,
            "block_tokens": 128,
            "batch_tokens": 8192,
            "micro_batch_tokens": 4096,
            "threads": 1,
            "learning_rate": 0.001,
            "matrix_learning_rate": 0.01,
            "compile": "on",
            "evaluate_every_steps": 0,
        },
    }
    for key, value in CHANGES[name].items():
        section, field = key.split(".")
        tables[section][field] = value
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        run = lmkit.pretrain(tables, run=Path(folder) / "run", quiet=True)
        seconds = time.perf_counter() - begun
        events = read_metrics(run.folder / "metrics.jsonl")
        validation = [event for event in events if event["event"] == "evaluated"][-1]
        steps = [event for event in events if event["event"] == "step"]
        found: dict[str, Any] = {
            "loss": validation["loss"],
            "terms": validation["terms"],
            "tokens_per_second": statistics.median(step["tokens_per_second"] for step in steps),
            "seconds": seconds,
        }
        if run.head_kind == "next-token":
            books = sorted((DATA / "books" / "validation").rglob("*.md"))
            found["bits_per_byte"] = lmkit.evaluate(run, text=books)["text"]["bits_per_byte"]
    return found


def table(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line a recipe, mean and range of its seeds."""
    lines = ["| recipe | loss | bits per byte | tokens/s |", "|---|---|---|---|"]
    for name in CHANGES:
        some = [cell for cell in cells if cell["recipe"] == name]
        if some:
            losses, bits = [c["loss"] for c in some], [c["bits_per_byte"] for c in some if "bits_per_byte" in c]
            spread = f"{min(losses):.3f} to {max(losses):.3f}" if len(some) > 1 else "one seed"
            told = f"{statistics.fmean(losses):.3f} ({spread})"
            speed = statistics.fmean(c["tokens_per_second"] for c in some)
            lines.append(f"| {name} | {told} | {f'{statistics.fmean(bits):.3f}' if bits else ''} | {speed:,.0f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--tokens", default="3M")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=CHANGES, default=list(CHANGES))
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--cell", nargs=2, metavar=("NAME", "SEED"), help="make one in this process, and print it")
    options = parser.parse_args()
    if options.cell:
        keep_freed_memory()  # as the command does
        print(json.dumps(made(options.cell[0], int(options.cell[1]), options.tokens)))
        return
    wanted = [
        {"recipe": name, "seed": seed, "tokens": options.tokens} for seed in options.seeds for name in options.only
    ]
    module = ["benchmarks.recipe", str(options.cells), "--tokens", options.tokens, "--cell"]
    cells = make_cells(
        options.cells, wanted, lambda cell: [*module, cell["recipe"], str(cell["seed"])], jobs=options.jobs
    )
    print("\n".join(table([cell for cell in cells if cell["tokens"] == options.tokens])))


if __name__ == "__main__":
    main()
