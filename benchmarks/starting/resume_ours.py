"""lmkit: from a checkpoint of step 3,000 to the end of the next step."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lmkit
from benchmarks.places import CACHE, DATA, ROOT
from lmkit.cli.waiting import wait_politely
from lmkit.engine.events import Event, Resumed, Stepped

STEPS = 3000
ROWS = 8
BLOCK_TOKENS = 32
FOLDER = CACHE / f"resume-{STEPS}"


def make() -> None:
    """The run that is resumed; small, so that it is soon made."""
    recipe = {
        "tokenizer": {"use": "bpe", "vocab_size": 8192},
        "data": {"train": [f"{DATA}/books/train/**/*.md"]},
        "encoder": {"use": "gpt2", "layers": 2, "width": 128},
        "objective": {"use": "clm"},
        "train": {
            "steps": STEPS,
            "block_tokens": BLOCK_TOKENS,
            "batch_tokens": ROWS * BLOCK_TOKENS,
            "optimizer": "adamw",
            "compile": "off",
            "evaluate_every_steps": 0,
        },
    }
    unfinished = FOLDER.with_name(f"{FOLDER.name}.{os.getpid()}")
    lmkit.pretrain(recipe, run=unfinished, quiet=True)
    unfinished.rename(FOLDER)


def main() -> None:
    if sys.argv[1:] == ["--make"]:
        make()
        return
    if not FOLDER.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "benchmarks.starting.resume_ours", "--make"], cwd=ROOT, check=True)
    wait_politely()  # as the command does
    moments: dict[type[Event], float] = {}

    def watch(event: Event) -> None:
        moments.setdefault(type(event), time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        shutil.copytree(FOLDER, run)
        begun = time.perf_counter()
        lmkit.load(run)
        loading = time.perf_counter() - begun
        begun = time.perf_counter()
        lmkit.resume(run, overrides=[f"train.steps={STEPS + 1}"], observers=[watch], quiet=True)
    seconds = moments[Stepped] - begun
    config = {"loading alone": loading, "until it goes on": moments[Resumed] - begun, "step": STEPS}
    print(json.dumps({"seconds": [seconds], "work": 1, "config": config}))


if __name__ == "__main__":
    main()
