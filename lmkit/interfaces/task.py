"""Task: turns rows of a data set into examples for an objective, and hidden states into answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import nn

from lmkit.batch import Example
from lmkit.interfaces.encoder import Encoder
from lmkit.interfaces.objective import Objective
from lmkit.interfaces.tokenizer import Tokenizer

Row = Mapping[str, Any]


class Task(ABC):
    """Turns rows of a data set into examples for an objective, and hidden states into answers."""

    name: ClassVar[str]
    Config: ClassVar[type[Any]]
    """A closed attrs class, each field with a sentence: columns, labels, how to decode."""
    formerly: ClassVar[tuple[str, ...]] = ()
    """Names that it had before, "distribution:name" where it was another's: what was saved under them is found."""
    reads: ClassVar[frozenset[str]]
    """The head kinds that `predict` understands."""
    verb: ClassVar[str | None] = None
    """What a Run calls it: "fill" makes `run.fill(text)`; None: `run.predict(rows)` only."""

    @abstractmethod
    def __init__(self, config: Any, tokenizer: Tokenizer) -> None:
        """Raises FitError where the tokenizer lacks a special token that the task needs."""

    @property
    def metric(self) -> str | None:
        """Which metric of `score` says what checkpoint is best, the higher the better; None: the loss, the lower."""
        return None

    @abstractmethod
    def build_objective(self, labels: Sequence[str]) -> Objective[Any]:
        """The objective that fine-tunes for this task; `labels` are what `all_labels` made of those in the data."""

    @abstractmethod
    def examples(self, row: Row) -> Iterator[Example]:
        """The examples of one row, several for a long document; raises DataError that says what is wrong with it."""

    @abstractmethod
    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        """One answer a row, in order; memory does not grow with the number of rows, nor answers change with
        `batch_tokens`.  A row that cannot be read gives {"error": sentence} in its place.
        """

    def row(self, text: str) -> Row:
        """The row that asks for `text`'s answer, for those who have a text and no data set."""
        return {"text": text}

    def ask(self, text: str) -> str | None:
        """What to ask about `text` while a model learns, so that a person sees it get better; None: nothing.

        `row` makes a row of it, whose answer shows its "text".
        """
        return None

    def tally(self, prediction: Any, row: Row) -> Mapping[str, float]:
        """Sums that `score` turns into metrics; empty where the row has no gold answer."""
        return {}

    def score(self, total: Mapping[str, float]) -> Mapping[str, float]:
        """Metrics of summed tallies."""
        return {}

    def labels(self, row: Row) -> Sequence[str]:
        """The labels that a row names, for tasks whose labels are found in the data."""
        return ()

    def all_labels(self, found: Sequence[str]) -> Sequence[str]:
        """All labels of a run whose training rows name those `found`, which are sorted: these, or those of a config."""
        return found
