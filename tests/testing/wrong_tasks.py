"""Tasks that are wrong in one way each, and the checks that have to find it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lmkit.batch import Example
from lmkit.interfaces import Encoder, Task, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.testing import TEXTS, NextToken

ROWS = [{"text": text[: 10 + 4 * number], "next": text[10 + 4 * number]} for number, text in enumerate(TEXTS)]


def right(answer: Any, row: Row) -> bool:
    return bool(answer["next"] == row["next"])


class Shortest(NextToken):
    """Sorts rows by length, and answers in that order."""

    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        def length(pair: tuple[int, Row]) -> int:
            return len(str(pair[1].get("text", "")))

        for window in _windows(rows, 64):
            chosen = [row for _, row in sorted(enumerate(window), key=length)]
            yield from super().predict(encoder, head, chosen, batch_tokens=batch_tokens)


class ShareOfTheBatch(NextToken):
    """Probabilities depend on how many rows are answered at once."""

    def guess(self, encoder: Encoder, head: nn.Module, texts: Sequence[Any]) -> list[dict[str, Any]]:
        answers = super().guess(encoder, head, texts)
        return [{**a, "probability": a["probability"] * (1 - len(answers) / 100)} for a in answers]


class ReadsAll(NextToken):
    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        return super().predict(encoder, head, list(rows), batch_tokens=batch_tokens)


class ErrorsLeftOut(NextToken):
    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        found = super().predict(encoder, head, rows, batch_tokens=batch_tokens)
        return (answer for answer in found if "error" not in answer)


class MissingIsEmpty(NextToken):
    """A row without its column is read as a text of one space."""

    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        filled = ({"text": " ", **row} for row in rows)
        return super().predict(encoder, head, filled, batch_tokens=batch_tokens)


class CrashesOnEmpty(NextToken):
    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        with_first = ({**row, "first": row["text"][0]} for row in rows)
        return super().predict(encoder, head, with_first, batch_tokens=batch_tokens)


class CutsByItself(NextToken):
    """Keeps to its own limit, and not to the encoder's."""

    def _tokens(self, text: str, longest: int) -> npt.NDArray[np.int64]:
        return super()._tokens(text, self.config.longest)


class NumbersOfNumpy(NextToken):
    def guess(self, encoder: Encoder, head: nn.Module, texts: Sequence[Any]) -> list[dict[str, Any]]:
        return [{**answer, "rank": np.int64(1)} for answer in super().guess(encoder, head, texts)]


class StaysInEvaluation(NextToken):
    def guess(self, encoder: Encoder, head: nn.Module, texts: Sequence[Any]) -> list[dict[str, Any]]:
        return super().guess(encoder.eval(), head, texts)


class Reseeds(NextToken):
    def guess(self, encoder: Encoder, head: nn.Module, texts: Sequence[Any]) -> list[dict[str, Any]]:
        torch.manual_seed(0)
        return super().guess(encoder, head, texts)


class AnswersAmiss(NextToken):
    """Reads the head at another place than the one that was trained."""

    def guess(self, encoder: Encoder, head: nn.Module, texts: Sequence[Any]) -> list[dict[str, Any]]:
        return super().guess(encoder, head, [text[:-1] if len(text) > 1 else text for text in texts])


class AnotherHead(NextToken):
    reads = frozenset({"span"})


class SumsForMetrics(NextToken):
    def score(self, total: Mapping[str, float]) -> Mapping[str, float]:
        return {"accuracy": total["right"]}


class RandomExamples(NextToken):
    def examples(self, row: Row) -> Iterator[Example]:
        for example in super().examples(row):
            yield attrs.evolve(example, target=np.random.rand())


class OneLabel(NextToken):
    def labels(self, row: Row) -> Sequence[str]:
        return "yes"


class VerbWithADash(NextToken):
    verb = "next-token"


class RowWithoutText(NextToken):
    def row(self, text: str) -> Row:
        return {"text": "something else"}


class UnknownMask(NextToken):
    def __init__(self, config: Any, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.mask = tokenizer.vocabulary.special["mask"]


def _windows(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    window: list[Row] = []
    for row in rows:
        window.append(row)
        if len(window) == size:
            yield window
            window = []
    yield window


WRONG: dict[type[Task], set[str]] = {
    NextToken: set(),
    Shortest: {
        "answers_keep_their_order",
        "bad_rows_are_told_in_their_place",
    },
    ShareOfTheBatch: {
        "answers_do_not_depend_on_batch_tokens",
        "answers_keep_their_order",
        "bad_rows_are_told_in_their_place",
    },
    ReadsAll: {"rows_are_read_as_needed"},
    ErrorsLeftOut: {"bad_rows_are_told_in_their_place", "odd_texts_are_survived"},
    MissingIsEmpty: {"bad_rows_are_told_in_their_place"},
    CrashesOnEmpty: {"odd_texts_are_survived", "bad_rows_are_told_in_their_place"},
    CutsByItself: {"an_encoder_is_given_no_more_than_it_reads"},
    NumbersOfNumpy: {"answers_are_plain_data"},
    StaysInEvaluation: {"answering_leaves_no_trace"},
    Reseeds: {"answering_leaves_no_trace"},
    AnswersAmiss: {"four_rows_are_learned"},
    AnotherHead: {"it_reads_the_head_that_it_trains"},
    SumsForMetrics: {"tallies_become_metrics"},
    RandomExamples: {"examples_are_whole"},
    OneLabel: {"labels_are_words"},
    VerbWithADash: {"text_makes_a_row"},
    RowWithoutText: {"text_makes_a_row"},
    UnknownMask: {"missing_tokens_are_told"},
}
"""Wrong task -> the checks that it fails: these, and no other; the reference itself fails none."""
