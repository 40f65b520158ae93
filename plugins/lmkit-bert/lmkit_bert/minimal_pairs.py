"""Task "minimal-pairs": which of two sentences, that differ in what makes one of them wrong, does a model prefer.

It needs no training, and reads the heads of masked and of causal language models (BLiMP, Warstadt et al. 2020).
Fine-tuning it learns the good sentences, by masked language modelling.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import numpy.typing as npt
from attrs import validators
from torch import nn

from lmkit.batch import Example
from lmkit.errors import DataError
from lmkit.interfaces import Encoder, Task, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.parts.heads import VocabularyHead
from lmkit.parts.rows import answer, text_of
from lmkit.parts.scoring import likelihoods
from lmkit_bert.mlm import MaskedConfig, MaskedLanguageModelling

AS_GOOD = 1e-6
"""Log-probabilities that differ by no more than this share are a tie: less is what rounding makes."""


@attrs.frozen(kw_only=True)
class MinimalPairsConfig:
    """Which columns hold the two sentences, and how long they may be."""

    good_column: str = "sentence_good"
    """Column of the sentence that should be preferred."""
    bad_column: str = "sentence_bad"
    """Column of the other one."""
    longest: int = attrs.field(default=256, validator=validators.ge(8))
    """Tokens of a sentence at most; a longer one is an error, since a sentence is scored whole or not at all."""
    metric: Literal["accuracy", "loss"] = "accuracy"
    """What says which checkpoint is best."""


@attrs.frozen(eq=False)
class _Sentence:
    ids: npt.NDArray[np.int64]
    """[n] special tokens included."""
    counted: npt.NDArray[np.bool_]
    """[n] its own tokens."""


@attrs.frozen(eq=False)
class _Pair:
    good: _Sentence
    bad: _Sentence


class MinimalPairs(Task):
    """Which sentence of a pair a model finds likelier; one answer a row, in order.

    {"good": its log-probability, "bad": that of the other, in nats, "prefers": "good", "bad" or "tie"}; pseudo
    log-probabilities where the model predicts masked tokens.  Special tokens are read and do not count; neither does a
    sentence's first token where a causal model has no token before it.
    """

    name = "minimal-pairs"
    Config = MinimalPairsConfig
    reads: ClassVar[frozenset[str]] = frozenset({"token", "next-token", "masked-next-token"})

    def __init__(self, config: MinimalPairsConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.tokenizer = tokenizer

    @property
    def metric(self) -> str | None:
        return None if self.config.metric == "loss" else self.config.metric

    def build_objective(self, labels: Sequence[str]) -> MaskedLanguageModelling:
        return MaskedLanguageModelling(MaskedConfig(), self.tokenizer.vocabulary)

    def row(self, text: str) -> Row:
        return {self.config.good_column: text}

    def examples(self, row: Row) -> Iterator[Example]:
        """The good sentence."""
        ids = self._sentence(row, self.config.good_column).ids
        self._sentence(row, self.config.bad_column)  # which is compared when the model is judged
        yield Example(tokens=ids, lengths=(len(ids),))

    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        causal = isinstance(head, VocabularyHead) and head.kind != "token"
        columns = (self.config.good_column, self.config.bad_column)

        def read(_: int, row: Row) -> _Pair:
            good, bad = (self._sentence(row, column, causal) for column in columns)
            return _Pair(good, bad)

        def compare(pairs: Sequence[_Pair]) -> Iterator[dict[str, Any]]:
            sentences = [sentence for pair in pairs for sentence in (pair.good, pair.bad)]
            found = likelihoods(
                encoder,
                head,
                self.tokenizer.vocabulary,
                [sentence.ids for sentence in sentences],
                [sentence.counted for sentence in sentences],
                batch_tokens=batch_tokens,
            )
            for good, bad in zip(found[::2], found[1::2], strict=True):
                yield {"good": good, "bad": bad, "prefers": _preferred(good, bad)}

        def tokens(pair: _Pair) -> int:
            return len(pair.good.ids) + len(pair.bad.ids)

        return answer(rows, read, tokens, compare, batch_tokens=batch_tokens)

    def tally(self, prediction: Any, row: Row) -> Mapping[str, float]:
        """Pairs, those in which the good sentence is preferred, and ties."""
        prefers = prediction.get("prefers")
        return {"pairs": 1.0, "right": float(prefers == "good"), "tied": float(prefers == "tie")}

    def score(self, total: Mapping[str, float]) -> Mapping[str, float]:
        """Accuracy, in which a tie counts half, as a coin would; and the share of ties."""
        pairs = total.get("pairs")
        if not pairs:
            return {}
        return {"accuracy": (total["right"] + total["tied"] / 2) / pairs, "ties": total["tied"] / pairs}

    def _sentence(self, row: Row, column: str, causal: bool = False) -> _Sentence:
        ids = self.tokenizer.encode_batch([text_of(row, column)])[0]
        wrapped = self.tokenizer.wrap(ids)
        if len(wrapped.ids) > self.config.longest:
            raise DataError(
                f'column "{column}": the sentence has {len(wrapped.ids):,} tokens, longest is {self.config.longest:,}: '
                f"raise it, or shorten the sentence"
            )
        counted = np.zeros(len(wrapped.ids), bool)
        counted[wrapped.first : wrapped.first + len(ids)] = True
        if causal:
            counted[:1] = False
        if not counted.any():
            raise DataError(f'column "{column}": the sentence has no token to score; write at least two words')
        return _Sentence(wrapped.ids, counted)


def _preferred(good: float, bad: float) -> str:
    if math.isclose(good, bad, rel_tol=AS_GOOD):
        return "tie"
    return "good" if good > bad else "bad"
