"""One run on 1, 2 and 4 processes, copied (DDP) and shared out (FSDP): losses, speed, and bytes beside the formula.

    python -m benchmarks.processes CELLS.jsonl

All make the same steps of a causal Qwen3 (4 layers x 256, vocabulary 8,192, 8,192 tokens a step) on the machine's
cores, which the processes share.  Bytes are those that the kernel counted on the loopback, from the end of a step to
the end of the next, of all processes together; the formula is that of `lmkit check --world`, where gloo, which makes an
all-reduce of a reduce-scatter, sends the gradients once more.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.cells import make_cells
from benchmarks.places import DATA

STEPS = 10
WAYS = ((1, "none"), (2, "ddp"), (2, "fsdp"), (4, "ddp"), (4, "fsdp"))


def loopback() -> int:
    """Bytes that the loopback has carried."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, counts = line.partition(":")
        if name.strip() == "lo":
            return int(counts.split()[0])
    raise RuntimeError("/proc/net/dev has no loopback")


def made(cell: Mapping[str, Any], place: Path) -> dict[str, Any]:
    """The run of one of the processes; only the first is told of its steps."""
    import lmkit
    from lmkit.cli.memory import keep_freed_memory
    from lmkit.cli.waiting import wait_politely
    from lmkit.engine.events import Event, Stepped

    wait_politely()  # as the command does, and the next
    keep_freed_memory()
    moments: list[tuple[float, int]] = []
    losses: list[float] = []

    def watch(event: Event) -> None:
        if isinstance(event, Stepped):
            moments.append((time.perf_counter(), loopback()))
            losses.append(event.loss)

    recipe = {
        "tokenizer": {"use": "bpe", "vocab_size": 8192},
        "data": {"train": [f"{DATA}/books/validation/**/*.md"], "document": "paragraph", "bad_input": "skip"},
        "encoder": {"use": "qwen3", "layers": 4, "width": 256},
        "objective": {"use": "clm"},
        "train": {
            "steps": STEPS,
            "block_tokens": 128,
            "batch_tokens": 8192,
            "compile": "off",
            "precision": cell["precision"],
            "parallel": cell["parallel"],
            "evaluate_every_steps": 0,
        },
    }
    run = lmkit.pretrain(recipe, run=place / "run", observers=[watch], quiet=True)
    spent = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(moments)]
    return {
        "losses": losses,
        "parameters": sum(p.numel() for p in run.module.parameters()),
        "layer_parameters": sum(p.numel() for p in run.module.encoder.layers[0].parameters()),
        "layers": len(run.module.encoder.layers),
        "muon_parameters": sum(
            p.numel() for name, p in run.module.named_parameters() if run.module.roles()[name].startswith("hidden")
        ),
        "tokens_per_second": 8192 / statistics.median(seconds for seconds, _ in spent) if spent else 0.0,
        "bytes_a_step": statistics.median(sent for _, sent in spent) if spent else 0,
    }


def table(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line a cell, beside one process in the same precision."""
    alone = {cell["precision"]: cell for cell in cells if cell["world"] == 1}
    lines = [
        "| processes | parallel | precision | tokens/s | losses differ by at most | MB a step | by formula |",
        "|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        world, one = cell["world"], alone[cell["precision"]]
        apart = max(abs(a - b) for a, b in zip(cell["losses"], one["losses"], strict=True))
        lines.append(
            f"| {world} | {cell['parallel']} | {cell['precision']} | {cell['tokens_per_second']:,.0f} | {apart:.1e} | "
            f"{cell['bytes_a_step'] / 1e6:,.1f} | {_formula(cell) / 1e6:,.1f} |"
        )
    return lines


def _formula(cell: Mapping[str, Any]) -> float:
    """Bytes of all processes together, by gloo."""
    from lmkit.run.projection import Model, ddp_bytes, fsdp_bytes

    sizes = {name: cell[name] for name in ("parameters", "layers", "layer_parameters", "muon_parameters")}
    model, world = Model(**sizes, width=256, flops_per_token=0.0), int(cell["world"])
    if cell["parallel"] != "fsdp":
        return world * ddp_bytes(model, world)
    return world * fsdp_bytes(model, world) + 4 * (world - 1) * model.parameters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--cell", metavar="JSON", help="make one in this process, and print it")
    options = parser.parse_args()
    if options.cell:
        asked = json.loads(options.cell)
        found = made(asked, Path(asked["place"]))
        if os.environ.get("RANK", "0") == "0":
            print(json.dumps(found))
        return
    wanted = [
        {"world": world, "parallel": parallel, "precision": precision}
        for precision in ("fp32", "auto")
        for world, parallel in WAYS
    ]
    with tempfile.TemporaryDirectory() as temporary:

        def command(cell: Mapping[str, Any]) -> list[str]:
            place = Path(tempfile.mkdtemp(dir=temporary))
            launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(cell["world"]), "-m"]
            asked = json.dumps({**cell, "place": str(place)})
            return [*launch, "benchmarks.processes", str(options.cells), "--cell", asked]

        cells = make_cells(options.cells, wanted, command)
    print("\n".join(table(cells)))


if __name__ == "__main__":
    main()
