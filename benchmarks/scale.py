"""How speed, memory and start-up grow with the model, the batch and the text, one at a time, with exponents fitted.

    python -m benchmarks.scale CELLS.jsonl [--only width depth ...]

Each cell is a process of its own that makes a few steps of a causal Qwen3 (4 layers x 256, vocabulary 8,192, 64 blocks
of 128 tokens, unless it is what grows), uncompiled; its memory is its peak, its start-up the time until the first step
ended.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cells import make_cells
from benchmarks.places import DATA
from benchmarks.preparing.corpus import corpus

BASE = {"layers": 4, "width": 256, "vocabulary": 8192, "block": 128, "rows": 64, "megabytes": 0, "checkpointing": 0}
GROWS: Mapping[str, tuple[str, Sequence[int]]] = {
    "width": ("width", (128, 256, 512, 768, 1024)),
    "depth": ("layers", (2, 4, 8, 16)),
    "length": ("block", (64, 128, 256, 512, 1024)),
    "vocabulary": ("vocabulary", (2048, 8192, 32768)),
    "batch": ("rows", (8, 16, 32, 64, 128)),
    "corpus": ("megabytes", (10, 100, 1000)),
    "activation checkpointing": ("checkpointing", (0, 1)),
}
STEPS = 6


def made(cell: Mapping[str, int]) -> dict[str, Any]:
    """Some steps of this shape."""
    begun = time.perf_counter()
    import lmkit
    from lmkit.cli.memory import keep_freed_memory
    from lmkit.engine.events import Event, Stepped

    keep_freed_memory()  # as the command does
    text = corpus(cell["megabytes"]) / "corpus.txt" if cell["megabytes"] else f"{DATA}/books/validation/**/*.md"
    rows = cell["rows"] * 128 // cell["block"] if cell["block"] != 128 else cell["rows"]  # as many tokens
    moments: list[float] = []

    def watch(event: Event) -> None:
        if isinstance(event, Stepped):
            moments.append(time.perf_counter())

    recipe = {
        "tokenizer": {"use": "bpe", "vocab_size": cell["vocabulary"]},
        "data": {"train": [str(text)], "document": "paragraph", "bad_input": "skip"},
        "encoder": {"use": "qwen3", "layers": cell["layers"], "width": cell["width"]},
        "objective": {"use": "clm"},
        "train": {
            "steps": STEPS,
            "block_tokens": cell["block"],
            "batch_tokens": cell["block"] * max(1, rows),
            "compile": "off",
            "evaluate_every_steps": 0,
            "micro_batch_tokens": cell["block"] * max(1, rows),
            "activation_checkpointing": bool(cell["checkpointing"]),
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        run = lmkit.pretrain(recipe, run=Path(folder) / "run", observers=[watch], quiet=True)
        parameters = sum(p.numel() for p in run.module.parameters())
    seconds = statistics.median(after - before for before, after in pairwise(moments))
    return {
        "tokens_per_second": cell["block"] * max(1, rows) / seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "start_seconds": moments[0] - begun,
        "parameters": parameters,
    }


def exponent(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of y = c x^e, fitted to the logarithms."""
    return float(np.polyfit(np.log(xs), np.log(ys), 1)[0])


def table(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each dimension: what was measured, and how it grows."""
    lines = ["| | value | parameters | tokens/s | peak MB | start, s |", "|---|---|---|---|---|---|"]
    grown = ["", "| | tokens/s | peak memory | start |", "|---|---|---|---|"]
    for name, (field, _) in GROWS.items():
        some = sorted((c for c in cells if c["grows"] == name), key=lambda c: c[field])
        lines += [
            f"| {name} | {c[field]:,} | {c['parameters']:,} | {c['tokens_per_second']:,.0f} | {c['peak_mb']:,.0f} | "
            f"{c['start_seconds']:.1f} |"
            for c in some
        ]
        if len(some) > 2:
            xs = [c[field] for c in some]
            fits = [exponent(xs, [c[key] for c in some]) for key in ("tokens_per_second", "peak_mb", "start_seconds")]
            grown.append(f"| {name} | " + " | ".join(f"{fit:+.2f}" for fit in fits) + " |")
    return [*lines, *grown]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--only", nargs="*", choices=GROWS, default=list(GROWS))
    parser.add_argument("--cell", metavar="JSON", help="make one in this process, and print it")
    options = parser.parse_args()
    if options.cell:
        print(json.dumps(made(json.loads(options.cell))))
        return
    wanted = [{"grows": name, **BASE, GROWS[name][0]: value} for name in options.only for value in GROWS[name][1]]
    cells = make_cells(
        options.cells, wanted, lambda cell: ["benchmarks.scale", str(options.cells), "--cell", json.dumps(dict(cell))]
    )
    print("\n".join(table(cells)))


if __name__ == "__main__":
    main()
