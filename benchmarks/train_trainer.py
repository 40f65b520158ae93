"""The peer: transformers' Trainer on its own model of a row, as it comes or at the best setting we found.

As it comes: fp32, dropout 0.1, its own optimizer and loader.  Best: bf16 autocast, no dropout, torch.compile where a
compiler is installed.
"""

import argparse
import itertools
import json
import os
import tempfile
import time
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from benchmarks.blocks import prepare
from benchmarks.peer_models import build_model, collator
from benchmarks.shape import ROWS, STEP_TOKENS, can_compile
from benchmarks.workloads import WORKLOADS


class Clock(TrainerCallback):  # type: ignore[misc]
    """The moment at which each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.ends.append(time.perf_counter())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", choices=WORKLOADS)
    parser.add_argument("--best", action="store_true")
    parser.add_argument("--steps", type=int, default=12, help="measured steps")
    parser.add_argument("--warmup-steps", type=int, default=4, help="steps before those, thrown away")
    options = parser.parse_args()
    workload = WORKLOADS[options.row]
    blocks, tokenizer = prepare("mlm" if workload.objective == "mlm" else "clm")
    made = collator(workload.objective, tokenizer)
    best = {"bf16": True, "use_cpu": not torch.cuda.is_available(), "torch_compile": can_compile()}
    changes = best if options.best else {}
    dropout = 0.0 if options.best else 0.1
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            build_model(workload.encoder, dropout=dropout),
            TrainingArguments(
                folder,
                per_device_train_batch_size=ROWS,
                max_steps=options.warmup_steps + options.steps,
                save_strategy="no",
                disable_tqdm=True,
                **changes,
            ),
            train_dataset=blocks,
            data_collator=made,
            callbacks=[clock],
        )
        done = trainer.train()
    step_tokens = STEP_TOKENS
    if workload.objective == "span-denoising":  # what is read, and what is predicted
        step_tokens = sum(part.numel() for part in made([blocks[number] for number in range(ROWS)]).values())
    measured = clock.ends[options.warmup_steps - 1 :]
    result = {
        "seconds": [after - before for before, after in itertools.pairwise(measured)],
        "step_tokens": step_tokens,
        "loss": done.training_loss,
        "threads": torch.get_num_threads(),
        "config": {
            "model": type(trainer.model).__name__,
            "parameters": trainer.model.num_parameters(),
            "dropout": dropout,
            **changes,
            "optimizer": trainer.args.optim.value,
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
