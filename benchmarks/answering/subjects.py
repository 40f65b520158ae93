"""The models and texts that both sides are asked about; made once a machine, in a process of its own.

bert, gpt2    runs of a few steps: speed does not depend on what they know
classifier    the BERT, fine-tuned for a few steps on the reviews
NAME.hf       the same for transformers, as `lmkit export` writes it
reviews       train.jsonl and others of sentiment_mr
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.places import CACHE, DATA, ROOT

FOLDER = CACHE / "answering"
PROMPT_TOKENS = 32
_TRAINING = {"steps": 4, "block_tokens": 128, "batch_tokens": 2048, "compile": "off", "evaluate_every_steps": 0}


def subject(name: str) -> Path:
    """The folder of that name."""
    folder = FOLDER / name
    if not folder.exists():
        subprocess.run([sys.executable, "-m", "benchmarks.answering.subjects", name], cwd=ROOT, check=True)
    return folder


def rows_of(split: str) -> list[dict[str, Any]]:
    """Rows of film reviews."""
    return [json.loads(line) for line in (subject("reviews") / f"{split}.jsonl").read_text().splitlines()]


def classification(**train: Any) -> dict[str, Any]:
    """The recipe of a classifier of film reviews."""
    folder = subject("reviews")
    return {
        "task": {"use": "classification"},
        "data": {"train": [str(folder / "train.jsonl")], "validation": [str(folder / "validation.jsonl")]},
        "train": {
            "batch_tokens": 2048,
            "optimizer": "adamw",
            "learning_rate": 0.0003,
            "schedule": "linear",
            "warmup": 0.1,
            "weight_decay": 0.01,
            **train,
        },
    }


def prompts(tokenizer: Any, count: int) -> list[str]:
    """Texts of PROMPT_TOKENS tokens each, for either side's tokenizer."""
    texts = []
    for book in sorted((DATA / "books/validation").rglob("*.md")):
        for line in book.read_text(encoding="utf-8").splitlines():
            text = tokenizer.decode(tokenizer.encode(line).ids[:PROMPT_TOKENS])
            if len(tokenizer.encode(text).ids) == PROMPT_TOKENS:
                texts.append(text)
                if len(texts) == count:
                    return texts
    raise SystemExit(f"{DATA}/books/validation has fewer than {count} lines of {PROMPT_TOKENS} tokens")


def _make(name: str, folder: Path) -> None:
    import lmkit

    if name == "reviews":
        from benchmarks.finetuning.splits import sentiment_mr

        folder.mkdir()
        for split, rows in sentiment_mr(DATA).items():
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif name.endswith(".hf"):
        lmkit.export(subject(name.removesuffix(".hf")), to="transformers", out=folder)
    elif name == "classifier":
        recipe = classification(steps=4, evaluate_every_steps=0)
        lmkit.finetune(subject("bert"), recipe, run=folder, quiet=True)
    else:
        parts = {"bert": ("wordpiece", "mlm"), "gpt2": ("bpe", "clm")}
        tokenizer, objective = parts[name]
        recipe = {
            "tokenizer": {"use": tokenizer, "vocab_size": 8192},
            "data": {"train": [f"{DATA}/books/validation/**/*.md"]},
            "encoder": {"use": name, "layers": 4, "width": 256},
            "objective": {"use": objective},
            "train": _TRAINING,
        }
        lmkit.pretrain(recipe, run=folder, quiet=True)


if __name__ == "__main__":
    [wanted] = sys.argv[1:]
    FOLDER.mkdir(parents=True, exist_ok=True)
    unfinished = FOLDER / f"{wanted}.{os.getpid()}"
    _make(wanted, unfinished)
    unfinished.rename(FOLDER / wanted)
