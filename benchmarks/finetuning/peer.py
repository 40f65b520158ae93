"""The peer: transformers' Trainer as it comes, fine-tuning the very weights of a run with the same recipe.

Epochs, learning rate, warm-up, decay, schedule, clipping, seed, the examples of a step and the choice of the best
epoch by the task's metric are the recipe's; fp32 and padding to the longest row of a batch are the Trainer's own. Its
predictions are scored by the same task's metrics.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import EvalPrediction, Trainer, TrainingArguments, set_seed

import lmkit
from benchmarks.finetuning.peer_models import PEERS, Peer
from benchmarks.finetuning.workloads import WORKLOADS, recipe_of
from lmkit.data.rows import read_rows
from lmkit.data.settings import Data
from lmkit.recipe import Finetuning
from lmkit.run.finetune import trainee_of
from lmkit.run.scores import Scores, scored


def arguments(recipe: Finetuning, folder: str, examples: int, metric: str) -> TrainingArguments:
    """The recipe in the Trainer's words; `examples` a step."""
    train = recipe.train
    if train.optimizer != "adamw" or train.schedule != "linear" or train.epochs is None:
        raise SystemExit("the peer knows recipes with AdamW, a linear schedule and epochs")
    return TrainingArguments(
        folder,
        num_train_epochs=train.epochs,
        per_device_train_batch_size=examples,
        per_device_eval_batch_size=4 * examples,
        learning_rate=train.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=train.warmup,  # below 1 it is a share
        weight_decay=train.weight_decay,
        adam_beta1=train.beta1,
        adam_beta2=train.beta2,
        max_grad_norm=train.clip,
        seed=recipe.seed,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model=metric,
        logging_strategy="no",
        disable_tqdm=True,
        report_to="none",
        use_cpu=not torch.cuda.is_available(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", choices=[name for name, w in WORKLOADS.items() if w.task in PEERS])
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    options = parser.parse_args()
    start = lmkit.load(options.start)
    recipe = recipe_of(options.workload, options.splits, options.seed, options.changes)
    trainee = trainee_of(recipe, start)  # for its labels, and how many examples a step has
    examples = max(1, round(recipe.train.batch_tokens / trainee.example_tokens))
    task = trainee.parts.build_task()
    metric = task.metric
    assert metric is not None
    names = ("train", "validation", "test")
    rows = {
        name: list(read_rows([options.splits / options.workload / f"{name}.jsonl"], Data(train=["-"])))
        for name in names
    }

    set_seed(options.seed)
    begun = time.perf_counter()
    peer: Peer = PEERS[WORKLOADS[options.workload].task](start, task, trainee.parts.labels)
    features = {name: peer.features(rows[name]) for name in names}

    def metrics_of(name: str, scores: Any) -> Scores:
        return scored(task, rows[name], peer.answers(rows[name], features[name], scores))

    def compute(found: EvalPrediction) -> dict[str, float]:
        return metrics_of("validation", found.predictions).metrics()

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            peer.model(),
            arguments(recipe, folder, examples, metric),
            train_dataset=features["train"],
            eval_dataset=features["validation"],
            data_collator=peer.collator(),
            compute_metrics=compute,
        )
        done = trainer.train()
        seconds = time.perf_counter() - begun
        trainer.compute_metrics = None  # it would compare these with the validation rows
        found = metrics_of("test", trainer.predict(features["test"]).predictions)
    metrics, intervals = found.metrics(), found.intervals()
    wanted = WORKLOADS[options.workload].metrics
    print(
        json.dumps(
            {
                "metrics": {name: metrics[name] for name in wanted},
                "intervals": {name: intervals[name] for name in wanted},
                "rows": found.rows,
                "seconds": seconds,
                "steps": done.global_step,
            }
        )
    )


if __name__ == "__main__":
    main()
