"""Task "translation": a text becomes another, such as itself in another language.

An encoder-decoder reads the source with its encoder and writes with its decoder.  An encoder without a decoder learns
it by prefix: it reads the source and a mark that ends it, and goes on with the target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
from attrs import validators
from torch import nn

from lmkit.batch import Example
from lmkit.errors import DataError, FitError
from lmkit.interfaces import Encoder, Task, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.parts.beam import Found, beam_search
from lmkit.parts.bleu import bleu, bleu_counts, chrf, chrf_counts, require_sacrebleu
from lmkit.parts.continuation import Continuation
from lmkit.parts.losses import LossConfig
from lmkit.parts.rows import answer, has_value, text_of
from lmkit_seq2seq.conditional import Ids, start_of
from lmkit_seq2seq.seq2seq import Seq2Seq, Seq2SeqConfig


@attrs.frozen(kw_only=True)
class TranslationConfig:
    """Which columns hold the texts, how a model learns to translate, and how it then writes."""

    source_column: str = "source"
    """Column of the text to translate."""
    target_column: str = "target"
    """Column of its translation."""
    by: Literal["context", "prefix"] = "context"
    """How the source is read: across, by the decoder of an encoder-decoder, or as a prefix of the target."""
    longest: int = attrs.field(default=128, validator=validators.ge(4))
    """Tokens of a source, and of a target, at most; a longer source is cut at its end, a longer target is an error."""
    max_new_tokens: int = attrs.field(default=128, validator=validators.ge(1))
    """Tokens of a translation at most."""
    beams: int = attrs.field(default=4, validator=[validators.ge(1), validators.le(64)])
    """Translations that are kept at every step; 1 takes the likeliest token each time."""
    length_penalty: float = attrs.field(default=1.0, validator=[validators.ge(0), validators.le(10)])
    """Exponent of the length by which a log-probability is divided: 0 favours short translations."""
    metric: Literal["bleu", "chrf", "exact_match", "loss"] = "loss"
    """What says which checkpoint is best; the first two need the extra lmkit[bleu]."""
    bleu: bool = False
    """Also score by BLEU and chrF, from 0 to 100, when they are not the metric; needs the extra lmkit[bleu]."""


@attrs.frozen(kw_only=True)
class PrefixConfig(LossConfig):
    """What is added to the loss: the examples mark their targets."""


class FromPrefix(Continuation):
    """Predict the target that follows its source."""

    name = "translation"
    Config = PrefixConfig


class Translation(Task):
    """Translates; one answer a row, in order.

    {"translation": text, "ended": whether the model ended it, "log_probability": of it, in nats, "best": [the others of
    the beam too, each with "translation" and "log_probability"]}
    """

    name = "translation"
    Config = TranslationConfig
    reads: ClassVar[frozenset[str]] = frozenset({"seq2seq", "next-token"})
    verb: ClassVar[str | None] = "translate"

    def __init__(self, config: TranslationConfig, tokenizer: Tokenizer) -> None:
        special = tokenizer.vocabulary.special
        self._end = special.get("eos", special.get("sep", -1))
        if self._end < 0:
            raise FitError('task "translation" needs a tokenizer with a token that ends a text; this one has none')
        self.config = config
        self.tokenizer = tokenizer
        if self._scores_bleu:
            require_sacrebleu()

    @property
    def metric(self) -> str | None:
        return None if self.config.metric == "loss" else self.config.metric

    def build_objective(self, labels: Sequence[str]) -> Continuation:
        if self.config.by == "prefix":
            return FromPrefix(PrefixConfig(), self.tokenizer.vocabulary)
        return Seq2Seq(Seq2SeqConfig(), self.tokenizer.vocabulary)

    def row(self, text: str) -> Row:
        return {self.config.source_column: text}

    def examples(self, row: Row) -> Iterator[Example]:
        """The source with its target; raises DataError where one is empty, or the target too long."""
        source, column = self._source(row), self.config.target_column
        target = self._ids(row, column)
        if not len(target):
            raise DataError(f'column "{column}": the text is empty')
        if len(target) >= self.config.longest:
            raise DataError(
                f'column "{column}": the text has {len(target) + 1:,} tokens with its end, longest is '
                f"{self.config.longest:,}: raise it, or shorten the text"
            )
        target = np.append(target, self._end)
        if self.config.by == "context":
            yield Example(tokens=source, lengths=(len(source),), target=target)
            return
        tokens = np.concatenate([source, target])
        yield Example(tokens=tokens, lengths=(len(tokens),), target=np.arange(len(tokens)) >= len(source))

    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        across = getattr(head, "kind", None) == "seq2seq"
        room = encoder.longest or 2 * self.config.longest
        most = self.config.longest if across else max(1, min(self.config.longest, room - 1))

        def translate(sources: Sequence[Ids]) -> Iterator[dict[str, Any]]:
            start = np.array([start_of(self.tokenizer.vocabulary)])
            found = beam_search(
                encoder,
                head,
                [start] * len(sources) if across else sources,
                beams=self.config.beams,
                max_new_tokens=self.config.max_new_tokens,
                end_ids=[self._end],
                length_penalty=self.config.length_penalty,
                contexts=sources if across else (),
            )
            yield from map(self._answer, found)

        def tokens(source: Ids) -> int:
            return self.config.beams * (len(source) + self.config.max_new_tokens)

        return answer(
            rows, lambda _, row: self._source(row, most, across), tokens, translate, batch_tokens=batch_tokens
        )

    def tally(self, prediction: Any, row: Row) -> Mapping[str, float]:
        """Whether a translation is the row's own, and what BLEU and chrF count of it."""
        if not has_value(row, self.config.target_column):
            return {}
        said, gold = prediction.get("translation", "").strip(), text_of(row, self.config.target_column).strip()
        counts = {**bleu_counts(said, gold), **chrf_counts(said, gold)} if self._scores_bleu else {}
        return {"rows": 1.0, "right": float(said == gold), **counts}

    def score(self, total: Mapping[str, float]) -> Mapping[str, float]:
        if not total.get("rows"):
            return {}
        found = {"exact_match": total["right"] / total["rows"]}
        return found | ({"bleu": bleu(total), "chrf": chrf(total)} if self._scores_bleu else {})

    @property
    def _scores_bleu(self) -> bool:
        return self.config.bleu or self.config.metric in ("bleu", "chrf")

    def _ids(self, row: Row, column: str) -> Ids:
        return self.tokenizer.encode_batch([text_of(row, column)])[0]

    def _source(self, row: Row, most: int | None = None, across: bool | None = None) -> Ids:
        """The source's ids with the token that ends it; by prefix it is wrapped as the encoder reads texts."""
        most = self.config.longest if most is None else most
        across = self.config.by == "context" if across is None else across
        ids = self._ids(row, self.config.source_column)
        if not len(ids):
            raise DataError(f'column "{self.config.source_column}": the text is empty')
        opening = np.zeros(0, np.int64)
        if not across:
            wrapped = self.tokenizer.wrap(ids[:0])
            opening = wrapped.ids[: wrapped.first]
        return np.concatenate([opening, ids[: max(1, most - 1 - len(opening))], [self._end]]).astype(np.int64)

    def _answer(self, found: Sequence[Found]) -> dict[str, Any]:
        named = [
            {"translation": self.tokenizer.decode(one.tokens).strip(), "log_probability": one.log_probability}
            for one in found
        ]
        return {**named[0], "ended": found[0].ended, "best": named}
