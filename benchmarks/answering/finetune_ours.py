"""lmkit fine-tunes a classifier for an epoch; what is measured is all its steps but the first."""

import json
import tempfile
from pathlib import Path

import lmkit
from benchmarks.answering.subjects import classification, rows_of, subject
from lmkit.cli.memory import keep_freed_memory
from lmkit.cli.waiting import wait_politely
from lmkit.report.metrics import read_metrics

WARM_UP = 4


def main() -> None:
    recipe, start, rows = classification(epochs=1, evaluate_every_steps=0), subject("bert"), len(rows_of("train"))
    wait_politely()  # as the command does, and the next
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        run = lmkit.finetune(start, recipe, run=Path(folder) / "run", quiet=True)
        events = read_metrics(run.folder / "metrics.jsonl")
    steps = [event for event in events if event["event"] == "step"]
    started = next(event for event in events if event["event"] == "started")
    seconds = steps[-1]["seconds"] - steps[WARM_UP - 1]["seconds"]
    result = {
        "seconds": [seconds / (len(steps) - WARM_UP)],
        "work": rows / len(steps),
        "loss": sum(step["loss"] for step in steps) / len(steps),
        "config": {"recipe": recipe["train"], "started": started, "steps": len(steps)},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
