"""Tiny recipes that really train, on the opening of the bundled book."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BOOK = Path(__file__).parents[2] / "lmkit" / "demo" / "robin_hood.md"

KINDS: dict[str, dict[str, Any]] = {
    "mlm": {
        "tokenizer": {"use": "wordpiece", "vocab_size": 400},
        "encoder": {"use": "bert", "layers": 2, "width": 32, "heads": 2, "positions": 64},
        "objective": {"use": "mlm", "rate": 0.3, "final_rate": 0.15},
    },
    "clm": {
        "tokenizer": {"use": "bpe", "vocab_size": 400},
        "encoder": {"use": "gpt2", "layers": 2, "width": 32, "heads": 2, "positions": 64},
        "objective": {"use": "clm"},
    },
}


def write_book(folder: Path, lines: int = 120) -> Path:
    """The first lines of the book, as a file of paragraphs."""
    path = folder / "book.md"
    path.write_text("".join(BOOK.read_text(encoding="utf-8").splitlines(keepends=True)[:lines]), encoding="utf-8")
    return path


def recipe(kind: str, book: Path, *, dropout: float = 0.0, every_steps: int = 3, **train: Any) -> dict[str, Any]:
    """Tables of a run.toml for a tiny model in fp32, whose bits are promised."""
    budget = {} if {"tokens", "epochs", "minutes"} & train.keys() else {"steps": 8}
    parts = KINDS[kind]
    return {
        "seed": 1,
        "tokenizer": parts["tokenizer"],
        "data": {"train": [str(book)], "validation": 0.2, "document": "paragraph"},
        "encoder": {**parts["encoder"], "dropout": dropout},
        "objective": parts["objective"],
        "train": {
            "block_tokens": 32,
            "batch_tokens": 256,
            "evaluate_every_steps": 4,
            "learning_rate": 0.003,
            "matrix_learning_rate": 0.02,
            "precision": "fp32",
            "compile": "off",
            "threads": 1,
            **budget,
            **train,
        },
        "checkpoint": {"every_minutes": 0, "every_steps": every_steps, "keep": 99},
    }


def metrics(run: Path, event: str) -> list[dict[str, Any]]:
    """The events of one kind, the last line of a step counting."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found = {line["step"]: line for line in lines if line["event"] == event}
    return [found[step] for step in sorted(found)]
