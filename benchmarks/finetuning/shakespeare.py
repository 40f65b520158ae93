"""A GPT that learns to speak as in Shakespeare: from its books, from scratch, and by the Trainer from the same weights.

    python -m benchmarks.finetuning.shakespeare RUN SPLITS [--arms lmkit scratch Trainer] [--seeds 1,2,3]

`RUN` is examples/ten-million-tokens/gpt.toml.  The Trainer gets what `lmkit export` writes, and what it made is
imported again, so that all are scored by `lmkit evaluate --text` alike.  Its optimizer is AdamW, whose rate
`--learning-rate` is; the tokens of a step are the recipe's, epochs too unless `--epochs` says otherwise; fp32 and
blocks of equal length are its own.
Prints a line of JSON for each.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainingArguments,
    set_seed,
)

import lmkit
from benchmarks.finetuning.__main__ import untrained
from benchmarks.finetuning.splits import load
from lmkit.cli.memory import keep_freed_memory
from lmkit.recipe import read_finetuning

RECIPE = Path(__file__).parents[2] / "examples" / "completion" / "run.toml"
NAME = "shakespeare"
BLOCK = 128


def learned(start: Path, splits: Path, seed: int, epochs: float, folder: Path) -> Path:
    files = {kind: (splits / NAME / f"{kind}.jsonl").absolute() for kind in ("train", "validation")}
    changes = [f'data.{kind}=["{file}"]' for kind, file in files.items()] + [f"seed={seed}", f"train.epochs={epochs}"]
    return lmkit.finetune(start, RECIPE, run=folder / "run", overrides=changes, quiet=True).folder


def learned_by_the_trainer(start: Path, splits: Path, seed: int, epochs: float, rate: float, folder: Path) -> Path:
    lmkit.export(start, to="transformers", out=folder / "start")
    recipe = read_finetuning(RECIPE).train
    tokenizer = AutoTokenizer.from_pretrained(folder / "start")
    texts = [row["text"] for row in load(splits, NAME, "train")]
    flat = [number for ids in tokenizer(texts)["input_ids"] for number in [*ids, tokenizer.eos_token_id]]
    blocks = [{"input_ids": flat[at : at + BLOCK]} for at in range(0, len(flat) - BLOCK + 1, BLOCK)]
    set_seed(seed)
    arguments = TrainingArguments(
        str(folder / "trainer"),
        num_train_epochs=epochs,
        per_device_train_batch_size=recipe.batch_tokens // BLOCK,
        learning_rate=rate,
        warmup_steps=0.1,
        seed=seed,
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        report_to="none",
        use_cpu=True,
    )
    model = AutoModelForCausalLM.from_pretrained(folder / "start")
    collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)
    Trainer(model, arguments, train_dataset=blocks, data_collator=collator).train()
    model.save_pretrained(folder / "made")
    tokenizer.save_pretrained(folder / "made")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lmkit.import_model(folder / "made", run=folder / "run").folder


def cell(arm: str, run: Path, splits: Path, seed: int, epochs: float, rate: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        start = untrained(run, folder) if arm == "scratch" else run
        begun = time.perf_counter()
        if arm == "Trainer":
            made = learned_by_the_trainer(start, splits, seed, epochs, rate, folder)
        else:
            made = learned(start, splits, seed, epochs, folder)
        seconds = time.perf_counter() - begun
        found = lmkit.evaluate(made, text=[splits / NAME / "test.jsonl"])["text"]
    said = {"perplexity": found["clm.perplexity"], "bits_per_byte": found["bits_per_byte"], "seconds": seconds}
    return {"arm": arm, "seed": seed, "epochs": epochs, **({"learning_rate": rate} if arm == "Trainer" else {}), **said}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("splits", type=Path)
    parser.add_argument("--arms", nargs="*", default=["lmkit", "scratch", "Trainer"])
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--learning-rate", type=float, default=0.0003, help="the Trainer's")
    parser.add_argument("--epochs", type=float, default=read_finetuning(RECIPE).train.epochs)
    options = parser.parse_args()
    keep_freed_memory()  # as the command does
    for seed in map(int, options.seeds.split(",")):
        for arm in options.arms:
            made = cell(arm, options.run, options.splits, seed, options.epochs, options.learning_rate)
            print(json.dumps(made), flush=True)


if __name__ == "__main__":
    main()
