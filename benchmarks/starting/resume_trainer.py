"""The peer: the Trainer, from its checkpoint of step 3,000 to the end of the next step; it reads what it skips."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import attrs
from transformers import Trainer, TrainingArguments

from benchmarks.clock import Clock
from benchmarks.places import CACHE, ROOT
from benchmarks.starting.resume_ours import BLOCK_TOKENS, ROWS, STEPS
from benchmarks.training.blocks import prepare
from benchmarks.training.peer_models import build_model, collator
from benchmarks.training.workloads import SMALL

FOLDER = CACHE / f"resume-trainer-{STEPS}"
SHAPE = attrs.evolve(SMALL, layers=2, width=128, block_tokens=BLOCK_TOKENS, rows=ROWS)


def trainer(folder: Path, steps: int, clock: Clock) -> Trainer:
    """As it comes."""
    blocks, tokenizer = prepare("clm", SHAPE)
    return Trainer(
        build_model("gpt2", SHAPE, dropout=0.1),
        TrainingArguments(
            str(folder),
            per_device_train_batch_size=ROWS,
            max_steps=steps,
            save_steps=STEPS,
            disable_tqdm=True,
            report_to="none",
        ),
        train_dataset=blocks,
        data_collator=collator("clm", tokenizer, SHAPE.vocabulary),
        callbacks=[clock],
    )


def make() -> None:
    """The run that is resumed."""
    unfinished = FOLDER.with_name(f"{FOLDER.name}.{os.getpid()}")
    trainer(unfinished, STEPS, Clock()).train()
    unfinished.rename(FOLDER)


def main() -> None:
    if sys.argv[1:] == ["--make"]:
        make()
        return
    if not FOLDER.is_dir():
        command = [sys.executable, "-m", "benchmarks.starting.resume_trainer", "--make"]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        shutil.copytree(FOLDER, run)
        begun = time.perf_counter()
        trainer(run, STEPS + 1, clock).train(resume_from_checkpoint=str(run / f"checkpoint-{STEPS}"))
    print(json.dumps({"seconds": [clock.ends[0] - begun], "work": 1, "config": {"step": STEPS}}))


if __name__ == "__main__":
    main()
