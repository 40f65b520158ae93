"""Task "classification": the class of a text or of a pair of texts, or the several classes that it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import attrs
from attrs import validators
from torch import nn

from lmkit.batch import Example, pack
from lmkit.errors import DataError
from lmkit.interfaces import Encoder, Task, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.parts.inference import inference
from lmkit.parts.rows import answer, has_value, value_of
from lmkit_finetune.classify import ClassHead, Classify, ClassifyConfig
from lmkit_finetune.state import StateConfig
from lmkit_finetune.texts import most_tokens, sequence


@attrs.frozen(kw_only=True)
class ClassificationConfig(StateConfig):
    """Which columns hold texts and labels, and how a text's states become a class."""

    column: str = "text"
    """Column of the text."""
    pair_column: str | None = None
    """Column of a second text, where rows are pairs."""
    label_column: str = "label"
    """Column of the label; of a list of labels, or labels in one string, where `several` is on."""
    labels: tuple[str, ...] = ()
    """All labels; by default those found in the training data. One that is not among them is an error."""
    several: bool = False
    """Whether a text may have several labels, or none."""
    separator: str = attrs.field(default=",", validator=validators.min_len(1))
    """Between several labels in one string."""
    class_weights: Mapping[str, float] = attrs.field(
        factory=dict, validator=validators.deep_mapping(validators.instance_of(str), validators.ge(0))
    )
    """How much an example of a label counts in the loss; 1 where none is given."""
    longest: int = attrs.field(default=128, validator=validators.ge(8))
    """Tokens to read at most; a longer text is cut at its end."""
    metric: Literal["accuracy", "micro_f1", "macro_f1", "loss"] = "accuracy"
    """What says which checkpoint is best."""

    def __attrs_post_init__(self) -> None:
        if len(set(self.labels)) < len(self.labels) or "" in self.labels:
            raise ValueError(f"labels: expected different names, got {list(self.labels)}")
        if self.labels and (unknown := sorted(self.class_weights.keys() - set(self.labels))):
            raise ValueError(f"class_weights: {', '.join(unknown)} is none of labels {', '.join(self.labels)}")


class Classification(Task):
    """The class of a text; one answer a row, in order.

    {"label": the likeliest, "probability": its own, "probabilities": {label: probability}}; where a text may have
    several, {"labels": those likelier than not, "probabilities": ...}
    """

    name = "classification"
    Config = ClassificationConfig
    reads: ClassVar[frozenset[str]] = frozenset({"classify"})
    verb: ClassVar[str | None] = "classify"

    def __init__(self, config: ClassificationConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.tokenizer = tokenizer

    @property
    def metric(self) -> str | None:
        return None if self.config.metric == "loss" else self.config.metric

    def build_objective(self, labels: Sequence[str]) -> Classify:
        config = ClassifyConfig(
            labels=tuple(labels),
            several=self.config.several,
            class_weights=self.config.class_weights,
            pooling=self.config.pooling,
            dropout=self.config.dropout,
            attention=self.config.attention,
        )
        return Classify(config, self.tokenizer.vocabulary)

    def row(self, text: str) -> Row:
        return {self.config.column: text}

    def labels(self, row: Row) -> Sequence[str]:
        """Raises DataError for a label that is absent, no text or number, or not among `labels`."""
        column = self.config.label_column
        given = value_of(row, column)
        if self.config.several:
            if isinstance(given, str):
                given = [part.strip() for part in given.split(self.config.separator) if part.strip()]
            if not isinstance(given, list):
                raise DataError(f'column "{column}": wanted a list of labels, got {given!r:.40}')
        names = [_name(label, column) for label in (given if self.config.several else [given])]
        for name in names:
            if self.config.labels and name not in self.config.labels:
                raise DataError(f'column "{column}": label "{name}" is not among {", ".join(self.config.labels)}')
        return names

    def all_labels(self, found: Sequence[str]) -> Sequence[str]:
        return self.config.labels or found

    def examples(self, row: Row) -> Iterator[Example]:
        labels, read = self.labels(row), self._read(row, self.config.longest)
        yield attrs.evolve(read, target=tuple(labels) if self.config.several else labels[0])

    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        assert isinstance(head, ClassHead)

        def classify(examples: Sequence[Example]) -> Iterator[dict[str, Any]]:
            return self._classify(encoder, head, examples)

        longest = most_tokens(self.config.longest, encoder)
        return answer(
            rows, lambda _, row: self._read(row, longest), lambda e: len(e.tokens), classify, batch_tokens=batch_tokens
        )

    def tally(self, prediction: Any, row: Row) -> Mapping[str, float]:
        """Rows, right ones, and for each label how often it was right, wrongly given and missed."""
        if not has_value(row, self.config.label_column):
            return {}
        gold = set(self.labels(row))
        said = set(prediction.get("labels", [prediction.get("label")]))
        sums = {"rows": 1.0, "right": float(gold == said)}
        sums |= {f"hit {label}": 1.0 for label in gold & said}
        sums |= {f"extra {label}": 1.0 for label in said - gold if label is not None}
        return sums | {f"missed {label}": 1.0 for label in gold - said}

    def score(self, total: Mapping[str, float]) -> Mapping[str, float]:
        """Accuracy (all labels of a row right), F1 of all decisions, and the mean of the labels' F1."""
        if not total.get("rows"):
            return {}
        labels = sorted({name.partition(" ")[2] for name in total if " " in name})  # floats are summed in one order
        counts = [[total.get(f"{what} {label}", 0.0) for what in ("hit", "extra", "missed")] for label in labels]
        counts = [some for some in counts if any(some)]  # a resample may have no row of a label
        micro = _f1(*map(sum, zip(*counts, strict=True))) if counts else 0.0
        macro = sum(_f1(*some) for some in counts) / len(counts) if counts else 0.0
        return {"accuracy": total["right"] / total["rows"], "micro_f1": micro, "macro_f1": macro}

    def _read(self, row: Row, longest: int) -> Example:
        return sequence(self.tokenizer, row, self.config.column, self.config.pair_column, longest)

    def _classify(self, encoder: Encoder, head: ClassHead, examples: Sequence[Example]) -> Iterator[dict[str, Any]]:
        inputs, _ = pack(examples, attention=head.attention, filler=self.tokenizer.vocabulary.special["pad"])
        with inference(encoder, head):
            scores = head(encoder, inputs.to(head.dense.weight.device)).float()
            found = (scores.sigmoid() if head.several else scores.softmax(-1)).tolist()
        for values in found:
            probabilities = dict(zip(head.labels, values, strict=True))
            if head.several:
                likely = [label for label, probability in probabilities.items() if probability > 0.5]
                yield {"labels": likely, "probabilities": probabilities}
            else:
                best = max(probabilities, key=probabilities.__getitem__)
                yield {"label": best, "probability": probabilities[best], "probabilities": probabilities}


def _name(label: object, column: str) -> str:
    if isinstance(label, bool) or not isinstance(label, (str, int)) or label == "":
        raise DataError(f'column "{column}": wanted a label, got {label!r:.40}')
    return str(label)


def _f1(hit: float, extra: float, missed: float) -> float:
    return 2 * hit / (2 * hit + extra + missed) if hit else 0.0
