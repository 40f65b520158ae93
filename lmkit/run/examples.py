"""Rows for fine-tuning: a task's examples, in a seeded order whose whole state is one integer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import attrs
import numpy as np

from lmkit.batch import Example
from lmkit.data.order import Order
from lmkit.data.rows import read_rows
from lmkit.data.settings import Data
from lmkit.data.tables import Row
from lmkit.data.tally import Tally
from lmkit.errors import DataError
from lmkit.interfaces import Task


class Rows:
    """Examples of a task, shuffled anew in each epoch."""

    def __init__(self, examples: list[Example], seed: int) -> None:
        self._examples = examples
        self._seed = seed

    def __len__(self) -> int:
        return len(self._examples)

    @property
    def mean_tokens(self) -> float:
        """Tokens of an example on average."""
        return sum(len(e.tokens) for e in self._examples) / len(self)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(max(e.lengths) for e in self._examples)

    @property
    def fingerprint(self) -> str:
        """What the examples are known by: tokens, order and targets."""
        digest = hashlib.sha256()
        for example in self._examples:
            target = example.target
            wanted = target.tobytes() if isinstance(target, np.ndarray) else repr(target).encode()
            digest.update(example.tokens.tobytes() + repr(example.lengths).encode() + wanted + b"\0")
        return digest.hexdigest()

    def examples(self, position: int, count: int) -> list[Example]:
        """`count` examples from `position` on, counted over all epochs."""
        chosen = []
        for place in range(position, position + count):
            epoch, within = divmod(place, len(self))
            index = int(Order(len(self), (self._seed, epoch))(np.array([within]))[0])
            chosen.append(attrs.evolve(self._examples[index], key=(self._seed, epoch, index)))
        return chosen


@attrs.frozen(eq=False)
class Weighted:
    """A training row, and how often it comes in an epoch."""

    row: Row
    times: int


def training_rows(data: Data) -> list[Weighted]:
    """All training rows, each once; a source's weight, rounded, is how often its rows come in an epoch.

    Raises DataError for a weight that would leave rows out.
    """
    for source in data.sources:
        if source.weight < 1:
            raise DataError(f"{source.path}: weight {source.weight:g}, where a task's rows come once an epoch or more")
    return [Weighted(row, round(source.weight)) for source in data.sources for row in read_rows([source.path], data)]


def repeated(rows: Iterable[Weighted]) -> Iterator[Row]:
    """The rows of an epoch."""
    for weighted in rows:
        yield from [weighted.row] * weighted.times


@attrs.frozen
class Read:
    """What a task made of rows."""

    rows: list[Row]
    """Those that it could read."""
    examples: list[Example]
    labels: tuple[str, ...]
    """All that the rows name, sorted."""


def examples_of(
    rows: Iterable[Row], task: Task, data: Data, *, where: str, labels: Sequence[str] | None = None
) -> Read:
    """The examples of `rows`; one that the task cannot read is bad input, as the settings treat it.

    So is a label that is not among `labels`, where those are given: they are what the training rows have.
    """
    tally = Tally(data.bad_input)
    good: list[Row] = []
    examples: list[Example] = []
    found: set[str] = set()
    first = ""
    for row in rows:
        try:
            named = task.labels(row)
            made = list(task.examples(row))
            for label in named:
                if labels is not None and label not in labels:
                    raise DataError(f'label "{label}" is not among those of the training rows: {", ".join(labels)}')
        except DataError as error:
            told = f"{row.place}: {error}"
            first = first or told
            tally.leave_out("row", told, "Mend the row")
        else:
            good.append(row)
            examples += made
            found.update(named)
    if not examples:
        because = f"; {first}" if first else ""
        raise DataError(f"{where}: no row of it gives task {task.name} an example{because}")
    return Read(good, [attrs.evolve(e, key=(0, 0, i)) for i, e in enumerate(examples)], tuple(sorted(found)))


def validation_rows(data: Data) -> dict[str, list[Row]]:
    """The rows of each validation set; a share of the training rows is for `split` to hold out."""
    return {name: list(read_rows(paths, data)) for name, paths in data.validation_sets.items()}


def split(rows: list[Weighted], share: float) -> tuple[list[Weighted], list[Row]]:
    """`rows` without a share of them, and that share: chosen at random, but the same ones whatever a run's seed."""
    held = min(max(1, round(share * len(rows))), len(rows) - 1)
    order = Order(len(rows), (0, 0))(np.arange(len(rows)))
    chosen = set(order[:held].tolist())
    return [r for i, r in enumerate(rows) if i not in chosen], [r.row for i, r in enumerate(rows) if i in chosen]


def places(paths: Iterable[Path]) -> str:
    """Paths as a message names them."""
    return ", ".join(str(path) for path in paths)
