"""Labelled rows that a tiny pre-trained model can learn, and the recipe to learn them by."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BOOK = "\n".join(f"The {a} {b} was {c} in the {d}." for a in ("old", "red", "big") for b in ("fox", "cat", "dog", "hen")
                 for c in ("good", "bad", "kind", "mean") for d in ("wood", "barn", "yard"))  # fmt: skip
GOOD, BAD = ("good", "kind"), ("bad", "mean")
TRAIN = {"precision": "fp32", "compile": "off", "threads": 1, "evaluate_every_steps": 0}


def spelled(number: int) -> str:
    """A number in words of the book, so that no two rows are alike."""
    return " ".join("old" if digit == "1" else "red" for digit in f"{number:06b}")


def rows(count: int = 48, names: Sequence[str] = ("good", "bad")) -> list[dict[str, Any]]:
    made = []
    for number in range(count):
        side = number % 2
        word = (GOOD, BAD)[side][number // 2 % 2]
        animal = ("fox", "cat", "dog", "hen", "cow")[number % 5]
        made.append({"text": f"The {spelled(number)} {animal} was {word}.", "label": names[side]})
    return made


def write(path: Path, made: Sequence[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return str(path)


def recipe(train: Any, *, steps: int = 60, validation: Any = 0.0, **task: Any) -> dict[str, Any]:
    data = {"train": [train], **({"validation": validation} if validation else {})}
    rates = {"learning_rate": 0.01, "matrix_learning_rate": 0.02}
    return {
        "task": {"use": "classification", **task},
        "data": data,
        "train": {**TRAIN, **rates, "steps": steps, "batch_tokens": 512},
    }
