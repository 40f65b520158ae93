"""Task "question-answering": the piece of a text that answers a question (Devlin et al. 2019, sections 4.2 and 4.3)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import numpy.typing as npt
from attrs import validators
from torch import nn

from lmkit.batch import Example, pack
from lmkit.errors import DataError, FitError
from lmkit.interfaces import Encoder, Task, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.parts.inference import inference
from lmkit.parts.rows import answer, batches, text_of
from lmkit_finetune.contexts import NOTHING, Asked, ContextWindow, context_windows, gold_of, tokens_of, with_answer
from lmkit_finetune.span import AnswerSpan, SpanConfig, SpanHead, choices_of
from lmkit_finetune.squad import exact_match, f1, normalized
from lmkit_finetune.texts import most_tokens


@attrs.frozen(kw_only=True)
class QuestionAnsweringConfig:
    """Which columns hold what, how long texts are read, and which answers are given."""

    question_column: str = "question"
    """Column of the question."""
    context_column: str = "context"
    """Column of the text that has the answer."""
    answers_column: str = "answers"
    """Column of the gold answers, each with its text and answer_start; an empty list where the context has none."""
    longest: int = attrs.field(default=384, validator=validators.ge(16))
    """Tokens of a window at most, the question's included."""
    stride: int = attrs.field(default=128, validator=validators.ge(0))
    """Tokens that neighbouring windows of a long context share, at most half of what a window holds of it."""
    longest_question: int = attrs.field(default=64, validator=validators.ge(1))
    """Tokens of a question at most; a longer one is cut at its end."""
    longest_answer: int = attrs.field(default=30, validator=validators.ge(1))
    """Tokens of an answer that is given at most."""
    best: int = attrs.field(default=5, validator=validators.ge(1))
    """Answers to name, the likeliest first."""
    no_answer: bool = False
    """Whether "none" may be the answer, as in SQuAD 2."""
    threshold: float = attrs.field(default=0.0, validator=[validators.gt(-math.inf), validators.lt(math.inf)])
    """How much more likely than the best answer "none" must be to be given, in nats."""
    metric: Literal["f1", "exact_match", "loss"] = "f1"
    """What says which checkpoint is best."""
    attention: Literal["bidirectional", "causal"] = "bidirectional"
    """As the encoder was pre-trained: bidirectional for masked language models, causal for a GPT."""

    def __attrs_post_init__(self) -> None:
        if self.no_answer and self.attention == "causal":
            raise ValueError('no_answer: with causal attention the first token, which stands for "none", sees nothing')


class QuestionAnswering(Task):
    """The answer to a question in its context; one answer a row, in order.

    {"answer": text, "start": its first character in the context, "end": the one behind its last, "probability": that
    its window begins and ends the answer there, "best": [the likeliest, each with these four]}; "" and no characters
    where there is no answer.  A long context is read in windows; it has no answer if none of them has.
    """

    name = "question-answering"
    Config = QuestionAnsweringConfig
    reads: ClassVar[frozenset[str]] = frozenset({"span"})

    def __init__(self, config: QuestionAnsweringConfig, tokenizer: Tokenizer) -> None:
        if not tokenizer.wrap(NOTHING, NOTHING).first:
            raise FitError(
                'task "question-answering" needs a tokenizer with a special token before a text, such as BERT\'s '
                '[CLS], to stand for "no answer"; this one has none'
            )
        self.config = config
        self.tokenizer = tokenizer

    @property
    def metric(self) -> str | None:
        return None if self.config.metric == "loss" else self.config.metric

    def build_objective(self, labels: Sequence[str]) -> AnswerSpan:
        return AnswerSpan(SpanConfig(attention=self.config.attention), self.tokenizer.vocabulary)

    def examples(self, row: Row) -> Iterator[Example]:
        """A row's windows; one that has no gold answer whole is taught that it has none."""
        asked, column = self._read(row), self.config.answers_column
        spans = [tokens_of(gold, asked, column) for gold in gold_of(row, column, asked.context)]
        for window in context_windows(self.tokenizer, asked, self.config.longest, self.config.stride):
            yield with_answer(window, spans)

    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        assert isinstance(head, SpanHead)
        longest = most_tokens(self.config.longest, encoder)

        def find(asked: Sequence[Asked]) -> Iterator[dict[str, Any]]:
            windows = chain.from_iterable(
                context_windows(self.tokenizer, one, longest, self.config.stride) for one in asked
            )
            scored = chain.from_iterable(
                self._score(encoder, head, some) for some in batches(windows, attrgetter("tokens"), batch_tokens)
            )
            for one, own in groupby(scored, lambda found: found[0].asked):
                yield self._answer(one, own)

        def tokens(asked: Asked) -> int:
            return len(asked.question) + len(asked.encoding.ids)

        return answer(rows, lambda _, row: self._read(row), tokens, find, batch_tokens=batch_tokens)

    def tally(self, prediction: Any, row: Row) -> Mapping[str, float]:
        """Exact matches and F1 of all rows, and of those with and without an answer."""
        if row.get(self.config.answers_column) is None:
            return {}
        given = gold_of(row, self.config.answers_column, row.get(self.config.context_column))
        gold = [g.text for g in given if normalized(g.text)]  # as SQuAD's own script has it, nothing is no answer
        said = prediction.get("answer", "")
        sums = {"rows": 1.0, "exact_match": exact_match(said, gold), "f1": f1(said, gold)}
        kind = "has_answer" if gold else "no_answer"
        return sums | {f"{kind}_{name}": value for name, value in sums.items()}

    def score(self, total: Mapping[str, float]) -> Mapping[str, float]:
        """SQuAD's exact match and F1, from 0 to 1: of all rows, and of those with and without an answer."""
        return {
            kind + name: total[kind + name] / total[f"{kind}rows"]
            for kind in ("", "has_answer_", "no_answer_")
            if total.get(f"{kind}rows")
            for name in ("exact_match", "f1")
        }

    def _read(self, row: Row) -> Asked:
        question, context = (text_of(row, name) for name in (self.config.question_column, self.config.context_column))
        ids = self.tokenizer.encode_batch([question])[0]
        encoding = self.tokenizer.encode(context)
        for name, found in ((self.config.question_column, ids), (self.config.context_column, encoding.ids)):
            if not len(found):
                raise DataError(f'column "{name}": the text is empty')
        return Asked(ids[: self.config.longest_question], context, encoding)

    def _score(
        self, encoder: Encoder, head: SpanHead, windows: Sequence[ContextWindow]
    ) -> list[tuple[ContextWindow, npt.NDArray[np.float32]]]:
        """Each window with [1 + tokens, 2] log-probabilities of no answer, and of a start and an end at each token."""
        filler = self.tokenizer.vocabulary.special["pad"]
        inputs, starts = pack([window.example for window in windows], attention=head.attention, filler=filler)
        choices, allowed = choices_of(starts, [window.passage for window in windows])
        device = head.dense.weight.device
        with inference(encoder, head):
            found = head(encoder(inputs.to(device)), choices.to(device), allowed.to(device)).cpu().numpy()
        return [
            (window, own[: 1 + window.passage.stop - window.passage.first])
            for window, own in zip(windows, found, strict=True)
        ]

    def _answer(self, asked: Asked, scored: Iterable[tuple[ContextWindow, npt.NDArray[np.float32]]]) -> dict[str, Any]:
        none = 0.0
        spans: dict[tuple[int, int], float] = {}
        for window, scores in scored:
            none = min(none, float(scores[0].sum()))
            for span, score in self._spans(window, scores[1:]):
                spans[span] = max(score, spans.get(span, score))
            spans = dict(sorted(spans.items(), key=lambda item: (-item[1], item[0]))[: self.config.best])
        best = [_named(asked.context, span, score) for span, score in spans.items()]
        nothing = {"answer": "", "start": None, "end": None, "probability": math.exp(none)}
        if not best:
            return {**nothing, "best": []}
        if not self.config.no_answer:
            return {**best[0], "best": best}
        chosen = nothing if none - max(spans.values()) > self.config.threshold else best[0]
        return {**chosen, "best": sorted([*best, nothing], key=lambda named: -named["probability"])}

    def _spans(self, window: ContextWindow, scores: npt.NDArray[np.float32]) -> Iterator[tuple[tuple[int, int], float]]:
        """The likeliest spans of characters in a window, each once, with the logarithm of their probability."""
        tokens, longest = len(scores), min(self.config.longest_answer, len(scores))
        ends = np.pad(scores[:, 1].astype(np.float64), (0, longest - 1), constant_values=-np.inf)
        sums = scores[:, :1] + np.lib.stride_tricks.sliding_window_view(ends, longest)  # [tokens, length - 1]
        offsets = window.asked.encoding.offsets[window.begin : window.begin + tokens]
        found: set[tuple[int, int]] = set()
        for place in np.argsort(-sums, axis=None, kind="stable"):
            first, length = divmod(int(place), longest)
            if len(found) == self.config.best or sums[first, length] == -np.inf:
                return
            span = _stripped(window.asked.context, int(offsets[first, 0]), int(offsets[first + length, 1]))
            if span[0] < span[1] and span not in found:
                found.add(span)
                yield span, float(sums[first, length])


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without white space at its ends, which tokens may bring along."""
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def _named(context: str, span: tuple[int, int], score: float) -> dict[str, Any]:
    start, end = span
    return {"answer": context[start:end], "start": start, "end": end, "probability": math.exp(score)}
