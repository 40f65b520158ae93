"""Task "multiple-choice": which of several endings goes on with a text.

A run that was fine-tuned for it scores each ending by a head; one that was only pre-trained by how likely it finds the
ending after the text, so that the task needs no training there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import numpy.typing as npt
from attrs import validators
from torch import nn

from lmkit.batch import Example, pack
from lmkit.errors import DataError
from lmkit.interfaces import Encoder, Task, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.parts.inference import inference
from lmkit.parts.rows import answer, has_value, text_of, value_of
from lmkit.parts.scoring import likelihoods
from lmkit_finetune.choice import Choice, ChoiceConfig, ChoiceHead, apart
from lmkit_finetune.state import StateConfig
from lmkit_finetune.texts import most_tokens, wrapped


@attrs.frozen(kw_only=True)
class MultipleChoiceConfig(StateConfig):
    """Which columns hold text, endings and label, and how endings are scored."""

    column: str = "prompt"
    """Column of the text that the endings go on with."""
    endings_column: str = "endings"
    """Column of the list of endings."""
    ending_columns: tuple[str, ...] = ()
    """Columns of one ending each, where they do not come as a list."""
    label_column: str = "label"
    """Column of the right ending: its number from 0, or its text."""
    longest: int = attrs.field(default=128, validator=validators.ge(8))
    """Tokens of a text with one ending at most; more are cut."""
    normalize: Literal["none", "tokens", "bytes"] = "none"
    """What an ending's log-likelihood is divided by, in a run that was only pre-trained: long ones are less likely."""
    metric: Literal["accuracy", "loss"] = "accuracy"
    """What says which checkpoint is best."""

    def __attrs_post_init__(self) -> None:
        if len(set(self.ending_columns)) < len(self.ending_columns) or len(self.ending_columns) == 1:
            raise ValueError(f"ending_columns: expected two different names or more, got {list(self.ending_columns)}")


@attrs.frozen(eq=False)
class _Continued:
    """A text with one of its endings, for a language model to score."""

    ending: str
    ids: npt.NDArray[np.int64]
    """[n] special tokens included."""
    counted: npt.NDArray[np.bool_]
    """[n] the ending's tokens."""
    size: int
    """What its log-likelihood is divided by."""


class MultipleChoice(Task):
    """Which ending goes on with a text; one answer a row, in order.

    {"choice": number of the likeliest ending, from 0, "ending": its text, "probabilities": one for each ending}; where
    a language model scores, they are the softmax of its (normalized) log-likelihoods.
    """

    name = "multiple-choice"
    Config = MultipleChoiceConfig
    reads: ClassVar[frozenset[str]] = frozenset({"choice", "next-token", "masked-next-token", "token"})

    def __init__(self, config: MultipleChoiceConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.tokenizer = tokenizer

    @property
    def metric(self) -> str | None:
        return None if self.config.metric == "loss" else self.config.metric

    def build_objective(self, labels: Sequence[str]) -> Choice:
        config = ChoiceConfig(pooling=self.config.pooling, dropout=self.config.dropout, attention=self.config.attention)
        return Choice(config, self.tokenizer.vocabulary)

    def row(self, text: str) -> Row:
        return {self.config.column: text}

    def examples(self, row: Row) -> Iterator[Example]:
        """One, with a sequence for each ending."""
        endings = self._endings(row)
        yield attrs.evolve(self._sequences(row, endings, self.config.longest), target=self._right(row, endings))

    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        if isinstance(head, ChoiceHead):
            return self._by_head(encoder, head, rows, batch_tokens)
        return self._by_odds(encoder, head, rows, batch_tokens)

    def tally(self, prediction: Any, row: Row) -> Mapping[str, float]:
        if not has_value(row, self.config.label_column):
            return {}
        right = self._right(row, self._endings(row))
        return {"rows": 1.0, "right": float(prediction.get("choice") == right)}

    def score(self, total: Mapping[str, float]) -> Mapping[str, float]:
        return {"accuracy": total["right"] / total["rows"]} if total.get("rows") else {}

    def _endings(self, row: Row) -> list[str]:
        if self.config.ending_columns:
            endings = [text_of(row, column) for column in self.config.ending_columns]
        else:
            column = self.config.endings_column
            given = value_of(row, column)
            if not isinstance(given, (list, tuple)):
                raise DataError(f'column "{column}": wanted a list of endings, got {given!r:.40}')
            endings = [text_of({f"{column}[{n}]": ending}, f"{column}[{n}]") for n, ending in enumerate(given)]
        if len(endings) < 2:
            raise DataError(f"a choice wants two endings or more, got {len(endings)}")
        return endings

    def _right(self, row: Row, endings: Sequence[str]) -> int:
        """The number of the right ending."""
        column = self.config.label_column
        label = value_of(row, column)
        if isinstance(label, str):
            is_number = label.isdecimal() and len(label) < 10  # of a table, whose cells are all text
            number = int(label) if is_number else label
            if label in endings and number not in (label, endings.index(label)) and number in range(len(endings)):
                raise DataError(
                    f'column "{column}": {label!r} is the text of ending {endings.index(label)} and the number of '
                    f"another: give numbers that are no texts, or texts that are no numbers"
                )
            label = endings.index(label) if label in endings else number
        if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label < len(endings):
            wanted = f"a number from 0 to {len(endings) - 1} or the text of an ending"
            raise DataError(f'column "{column}": wanted {wanted}, got {label!r:.40}')
        return label

    def _sequences(self, row: Row, endings: Sequence[str], longest: int) -> Example:
        text = text_of(row, self.config.column)
        parts = []
        for number, ending in enumerate(endings):
            whole = wrapped(self.tokenizer, (text, ending), longest)
            if whole is None:
                raise DataError(f'column "{self.config.column}": the text is empty, and so is ending {number}')
            parts.append(whole)
        return Example(
            tokens=np.concatenate([part.ids for part in parts]),
            lengths=tuple(len(part.ids) for part in parts),
            segments=np.concatenate([part.segments for part in parts]),
        )

    def _continued(self, text: str, endings: Sequence[str], head: nn.Module) -> list[_Continued]:
        """The text with each of its endings, as one text; a text that is too long loses its beginning."""
        made = []
        around = self.tokenizer.wrap(np.zeros(0, np.int64))
        room = self.config.longest - len(around.ids)
        blind = getattr(head, "attention", None) == "causal" and not around.first  # to the first token
        for number, ending in enumerate(endings):
            space = " " if text and not text[-1].isspace() and not ending[:1].isspace() else ""
            joined = text + space + ending
            encoding = self.tokenizer.encode(joined)
            own = encoding.offsets[:, 1] > len(text)
            own[: int(blind)] = False
            if not own.any():
                raise DataError(f"ending {number} has no token to score: {ending!r:.40}")
            start = max(0, min(len(own) - room, int(own.argmax()) - 1))
            window = slice(start, start + room)
            ids, own, offsets = encoding.ids[window], own[window], encoding.offsets[window][own[window]]
            read = joined[max(len(text + space), int(offsets[0, 0])) : int(offsets[-1, 1])]
            whole = self.tokenizer.wrap(ids)
            counted = np.zeros(len(whole.ids), bool)
            counted[whole.first : whole.first + len(ids)] = own
            sizes = {"none": 1, "tokens": int(own.sum()), "bytes": max(1, len(read.encode()))}
            made.append(_Continued(ending, whole.ids, counted, sizes[self.config.normalize]))
        return made

    def _by_head(self, encoder: Encoder, head: ChoiceHead, rows: Iterable[Row], batch_tokens: int) -> Iterator[Any]:
        longest = most_tokens(self.config.longest, encoder)

        def read(_: int, row: Row) -> Example:
            endings = self._endings(row)
            return attrs.evolve(self._sequences(row, endings, longest), extra=endings)

        def choose(examples: Sequence[Example]) -> Iterator[dict[str, Any]]:
            filler = self.tokenizer.vocabulary.special["pad"]
            inputs, _ = pack([*apart(examples)], attention=head.attention, filler=filler)
            with inference(encoder, head):
                scores = iter(head(encoder, inputs.to(head.dense.weight.device))[:, 0].float().tolist())
            for example in examples:
                yield _answer(example.extra, [next(scores) for _ in example.lengths])

        return answer(rows, read, lambda example: len(example.tokens), choose, batch_tokens=batch_tokens)

    def _by_odds(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], batch_tokens: int) -> Iterator[Any]:
        def read(_: int, row: Row) -> list[_Continued]:
            return self._continued(text_of(row, self.config.column), self._endings(row), head)

        def choose(asked: Sequence[list[_Continued]]) -> Iterator[dict[str, Any]]:
            texts = [one for some in asked for one in some]
            ids, counted = [one.ids for one in texts], [one.counted for one in texts]
            vocabulary = self.tokenizer.vocabulary
            found = iter(likelihoods(encoder, head, vocabulary, ids, counted, batch_tokens=batch_tokens))
            for some in asked:
                yield _answer([one.ending for one in some], [next(found) / one.size for one in some])

        def tokens(some: list[_Continued]) -> int:
            return sum(len(one.ids) for one in some)

        return answer(rows, read, tokens, choose, batch_tokens=batch_tokens)


def _answer(endings: Sequence[str], scores: Sequence[float]) -> dict[str, Any]:
    odds = np.exp(np.array(scores) - max(scores))
    best = int(odds.argmax())
    return {"choice": best, "ending": endings[best], "probabilities": (odds / odds.sum()).tolist()}
