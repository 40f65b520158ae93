"""The labelled sets, each with the example's recipe that learns it and what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from lmkit.recipe import Finetuning, read_finetuning
from lmkit.registry import default_registry
from lmkit.testing.reference import ByteTokenizer

EXAMPLES = Path(__file__).parents[2] / "examples"


@attrs.frozen
class Workload:
    """A labelled set, and how it is learned."""

    task: str
    """Whose example's run.toml is the recipe."""
    metrics: tuple[str, ...]
    """What is reported, the deciding one first."""
    changes: tuple[str, ...] = ()
    """Of the recipe, for this set."""
    adapts: bool = False
    """Whether the start reads the training texts first, by the example's adapt.toml."""


WORKLOADS = {
    "sentiment_mr": Workload("classification", ("accuracy",), adapts=True),
    "intent_banking77": Workload(
        "classification",
        ("accuracy", "macro_f1"),
        ("train.epochs=10", "train.batch_tokens=2048", "train.learning_rate=0.001"),
        adapts=True,
    ),
    "ner_wnut17": Workload("token-classification", ("f1",)),
    "ner_wikigold": Workload("token-classification", ("f1",)),
    "qa_qamr": Workload("question-answering", ("f1", "exact_match")),
    "completion_codah": Workload("multiple-choice", ("accuracy",)),
}


def task_of(name: str) -> Any:
    """The task of a labelled set, for scoring answers that another model gave."""
    component = default_registry().find("task", WORKLOADS[name].task)
    cls = component.load()
    return cls(cls.Config(), ByteTokenizer.train(ByteTokenizer.Config(), ()))


def recipe_of(name: str, splits: Path, seed: int, changes: Sequence[str] = ()) -> Finetuning:
    """The recipe of a labelled set, whose files lie in a folder of `splits`."""
    workload = WORKLOADS[name]
    overrides = [*_data(name, splits), f"seed={seed}", *workload.changes, *changes]
    return read_finetuning(EXAMPLES / workload.task / "run.toml", overrides=overrides)


def adaptation_of(name: str, splits: Path) -> Finetuning:
    """The recipe by which the start first reads the training texts of a labelled set."""
    return read_finetuning(EXAMPLES / WORKLOADS[name].task / "adapt.toml", overrides=_data(name, splits))


def _data(name: str, splits: Path) -> list[str]:
    folder = (splits / name).absolute()
    return [f'data.train=["{folder}/train.jsonl"]', f'data.validation=["{folder}/validation.jsonl"]']
