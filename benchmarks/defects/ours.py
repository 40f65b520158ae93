"""What the rows share on lmkit's side: made-up text, a tiny run.toml of each objective, a run and its events."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from lmkit import Run, pretrain

COMPONENTS = {"mlm": ("wordpiece", "bert"), "clm": ("bpe", "gpt2")}
BLOCK_TOKENS = 32
ROWS = 32


def text(folder: Path) -> Path:
    """A file of 400 documents, each a line of 5 to 60 made-up words; the same at every call."""
    generator = np.random.default_rng(0)
    letters = np.array(list("abcdefghij"))
    words = ["".join(generator.choice(letters, 4)) for _ in range(95)]
    lines = [" ".join(generator.choice(words, generator.integers(5, 60))) for _ in range(400)]
    path = folder / "text.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def tables(objective: str, source: Path, *, dropout: float = 0.0, **train: Any) -> dict[str, Any]:
    """A run.toml for "mlm" or "clm" as tables; `train` replaces values of its [train]."""
    tokenizer, encoder = COMPONENTS[objective]
    chosen = {
        "block_tokens": BLOCK_TOKENS,
        "batch_tokens": BLOCK_TOKENS * ROWS,
        "optimizer": "adamw",
        "learning_rate": 0.01,
        "precision": "fp32",
        "threads": 1,
        "evaluate_every_steps": 0,
    }
    return {
        "tokenizer": {"use": tokenizer, "vocab_size": 400},
        "data": {"train": [str(source)], "validation": 0.2, "document": "line"},
        "encoder": {"use": encoder, "layers": 1, "width": 32, "heads": 2, "dropout": dropout},
        "objective": {"use": objective},
        "train": chosen | train,
    }


def train(folder: Path, recipe: dict[str, Any]) -> Run:
    """Train into `folder`/run."""
    return pretrain(recipe, run=folder / "run", quiet=True)


def events(run: Path, event: str) -> list[dict[str, Any]]:
    """The events of this kind that a run wrote, in order."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == event]
