"""lmkit's side of a training row: a run.toml of the peer's architecture, the verb of `lmkit pretrain`, its metrics.

All defaults but the shape, AdamW and the peer's masking rate.  It is the first steps of a run of 10 M tokens, which
`compile = "auto"` compiles where it can; a run of a few steps alone would not.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

from benchmarks.places import CACHE, DATA, can_compile
from benchmarks.training.workloads import WORKLOADS, Workload


def recipe(workload: Workload, *, steps: int, compiled: bool) -> str:
    """The run.toml of a row."""
    shape = workload.shape
    return f"""
seed = 1
[tokenizer]
use = "{workload.tokenizer}"
vocab_size = {shape.vocabulary}
{workload.tokenizer_fields}
[data]
train = ["$LMKIT_DATA/books/train/**/*.md"]
[encoder]
use = "{workload.encoder}"
layers = {shape.layers}
width = {shape.width}
heads = {shape.heads}
{workload.encoder_fields}
[objective]
use = "{workload.objective}"
{workload.objective_fields}
[train]
steps = {steps}
block_tokens = {shape.block_tokens}
batch_tokens = {shape.step_tokens}
optimizer = "adamw"
learning_rate = 0.001
compile = "{"on" if compiled else "off"}"
evaluate_every_steps = 0
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", choices=WORKLOADS)
    parser.add_argument("--eager", action="store_true", help="as on a machine without a compiler")
    parser.add_argument("--steps", type=int, help="measured steps; by default as many as the shape says")
    parser.add_argument("--warmup-steps", type=int, default=10, help="steps before those, thrown away")
    options = parser.parse_args()

    import lmkit
    from lmkit.cli.memory import keep_freed_memory
    from lmkit.cli.waiting import wait_politely

    wait_politely()  # as the command does, and the next
    keep_freed_memory()
    os.environ["LMKIT_DATA"] = str(DATA)  # named in the recipe, whose text stands in the report
    workload = WORKLOADS[options.row]
    steps_in_all = options.warmup_steps + (options.steps or workload.shape.steps)
    text = recipe(workload, steps=steps_in_all, compiled=can_compile() and not options.eager)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        recipe_file = Path(folder, "run.toml")
        recipe_file.write_text(text, encoding="utf-8")
        run = Path(folder, "run")
        lmkit.pretrain(recipe_file, run=run)
        events = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    tokens = [after["tokens"] - before["tokens"] for before, after in zip([{"tokens": 0}, *steps], steps, strict=False)]
    measured = list(zip(steps, tokens, strict=True))[options.warmup_steps :]
    started = [event for event in events if event["event"] == "started"]
    result = {
        "seconds": [count / step["tokens_per_second"] for step, count in measured],
        "work": sum(count for _, count in measured) / len(measured),
        "flops": started[0]["flops_per_token"],
        "loss": sum(step["loss"] for step in steps) / len(steps),
        "config": {"run.toml": text, "started": started},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
