"""The peer: the Trainer on the same weights, rows and rows a step, as it comes or at the best setting that was found.

As it comes: fp32, dropout 0.1, a batch padded to its longest row.  Best: bf16 where it pays, no dropout, rows
of like length together.
"""

import argparse
import json
import os
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from benchmarks.answering.subjects import rows_of, subject
from benchmarks.clock import Clock
from lmkit.engine.device import computes_in_bf16

WARM_UP = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--best", action="store_true")
    options = parser.parse_args()
    start, rows = subject("bert.hf"), rows_of("train")
    tokenizer = AutoTokenizer.from_pretrained(start)
    labels = sorted({row["label"] for row in rows})
    features = [
        {**tokenizer(row["text"], truncation=True, max_length=128), "labels": labels.index(row["label"])}
        for row in rows
    ]
    tokens = sum(len(feature["input_ids"]) for feature in features)
    examples = max(1, round(2048 * len(rows) / tokens))
    dropout = 0.0 if options.best else 0.1
    model = AutoModelForSequenceClassification.from_pretrained(
        start, num_labels=len(labels), hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout
    )
    bf16 = computes_in_bf16("cuda" if torch.cuda.is_available() else "cpu")
    best = {"bf16": bf16, "use_cpu": not torch.cuda.is_available(), "train_sampling_strategy": "group_by_length"}
    changes = best if options.best else {}
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model,
            TrainingArguments(
                folder,
                num_train_epochs=1,
                per_device_train_batch_size=examples,
                learning_rate=0.0003,
                warmup_steps=0.1,
                weight_decay=0.01,
                save_strategy="no",
                disable_tqdm=True,
                report_to="none",
                **changes,
            ),
            train_dataset=features,
            data_collator=DataCollatorWithPadding(tokenizer),
            callbacks=[clock],
        )
        done = trainer.train()
    result = {
        "seconds": [(clock.ends[-1] - clock.ends[WARM_UP - 1]) / (len(clock.ends) - WARM_UP)],
        "work": len(rows) / len(clock.ends),
        "loss": done.training_loss,
        "config": {"examples a step": examples, "steps": len(clock.ends), "dropout": dropout, **changes},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
