"""Task "regression": a number for a text or for a pair of texts, such as how alike they are.

Numbers are learned on the scale from `lowest` to `highest`, which the config names: a task sees its rows one by one,
so it cannot standardize by a mean that it does not know, and numbers on their own scale would need learning rates of
their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import attrs
from attrs import validators
from torch import nn

from lmkit.batch import Example, pack
from lmkit.interfaces import Encoder, Task, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.parts.inference import inference
from lmkit.parts.rows import answer, has_value
from lmkit_finetune.correlation import pair_sums, pearson, r_squared, squared_error
from lmkit_finetune.regress import Regress, RegressConfig, RegressHead
from lmkit_finetune.texts import most_tokens, number_of, sequence


@attrs.frozen(kw_only=True)
class RegressionConfig(RegressConfig):
    """Which columns hold texts and numbers, which range those have, and how a text's states become one."""

    column: str = "text"
    """Column of the text."""
    pair_column: str | None = None
    """Column of a second text, where rows are pairs."""
    label_column: str = "label"
    """Column of the number; one that is not from lowest to highest is an error."""
    longest: int = attrs.field(default=128, validator=validators.ge(8))
    """Tokens to read at most; a longer text is cut at its end."""
    metric: Literal["pearson", "r2", "loss"] = "r2"
    """What says which checkpoint is best."""


class Regression(Task):
    """A number for a text; one answer a row, in order: {"value": number}, which may leave the range a little."""

    name = "regression"
    Config = RegressionConfig
    reads: ClassVar[frozenset[str]] = frozenset({"regress"})
    verb: ClassVar[str | None] = "rate"

    def __init__(self, config: RegressionConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.tokenizer = tokenizer

    @property
    def metric(self) -> str | None:
        return None if self.config.metric == "loss" else self.config.metric

    def build_objective(self, labels: Sequence[str]) -> Regress:
        config = RegressConfig(
            lowest=self.config.lowest,
            highest=self.config.highest,
            pooling=self.config.pooling,
            dropout=self.config.dropout,
            attention=self.config.attention,
        )
        return Regress(config, self.tokenizer.vocabulary)

    def row(self, text: str) -> Row:
        return {self.config.column: text}

    def examples(self, row: Row) -> Iterator[Example]:
        yield attrs.evolve(self._read(row, self.config.longest), target=self._number(row))

    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        assert isinstance(head, RegressHead)

        def rate(examples: Sequence[Example]) -> Iterator[dict[str, float]]:
            return self._rate(encoder, head, examples)

        longest = most_tokens(self.config.longest, encoder)
        return answer(
            rows, lambda _, row: self._read(row, longest), lambda e: len(e.tokens), rate, batch_tokens=batch_tokens
        )

    def tally(self, prediction: Any, row: Row) -> Mapping[str, float]:
        """Sums of numbers, squares and products, on the scale of the loss, and of absolute errors."""
        if not has_value(row, self.config.label_column):
            return {}
        found, gold = self._scaled(prediction["value"]), self._scaled(self._number(row))
        return {**pair_sums(found, gold), "error": abs(found - gold)}

    def score(self, total: Mapping[str, float]) -> Mapping[str, float]:
        """Root mean squared and mean absolute error, in the numbers' own unit, Pearson's correlation, and R squared."""
        if not total.get("rows"):
            return {}
        unit = self.config.highest - self.config.lowest
        return {
            "rmse": unit * math.sqrt(squared_error(total)),
            "mae": unit * total["error"] / total["rows"],
            "pearson": pearson(total),
            "r2": r_squared(total),
        }

    def _read(self, row: Row, longest: int) -> Example:
        return sequence(self.tokenizer, row, self.config.column, self.config.pair_column, longest)

    def _number(self, row: Row) -> float:
        return number_of(row, self.config.label_column, self.config.lowest, self.config.highest)

    def _scaled(self, number: float) -> float:
        return (number - self.config.lowest) / (self.config.highest - self.config.lowest)

    def _rate(self, encoder: Encoder, head: RegressHead, examples: Sequence[Example]) -> Iterator[dict[str, float]]:
        inputs, _ = pack(examples, attention=head.attention, filler=self.tokenizer.vocabulary.special["pad"])
        with inference(encoder, head):
            found: list[float] = head(encoder, inputs.to(head.dense.weight.device))[:, 0].double().tolist()
        for value in found:
            yield {"value": head.lowest + value * (head.highest - head.lowest)}
