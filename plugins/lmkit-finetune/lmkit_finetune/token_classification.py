"""Task "token-classification": the tag of each word, and the entities that tags make."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import numpy.typing as npt
import torch
from attrs import validators
from torch import nn

from lmkit.batch import Attention, Example, pack
from lmkit.errors import DataError, FitError
from lmkit.interfaces import Encoder, Task, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.parts.inference import inference
from lmkit.parts.rows import answer, batches, value_of
from lmkit_finetune.entities import OUTSIDE, Span, best_path, bio, bio_labels, is_tag, may_follow, spans_of, split_tag
from lmkit_finetune.sentences import Words, WordWindow, pieces_of, word_windows, words_of
from lmkit_finetune.tag import Tag, TagConfig, TagHead
from lmkit_finetune.texts import most_tokens


@attrs.frozen(kw_only=True)
class TokenClassificationConfig:
    """Which columns hold words and tags, and what the tags mean."""

    column: str = "tokens"
    """Column of the list of words; of a text, which is then split at white space and punctuation."""
    tags_column: str = "tags"
    """Column of the list of tags, one a word."""
    entities: bool = True
    """Whether tags are those of entities, in any of IOB1, BIO, BIOES and BILOU; turn it off for parts of speech."""
    labels: tuple[str, ...] = ()
    """All types of entities, or all tags where `entities` is off; by default those found in the training data."""
    class_weights: Mapping[str, float] = attrs.field(
        factory=dict, validator=validators.deep_mapping(validators.instance_of(str), validators.ge(0))
    )
    """How much a word of a tag, such as O or B-PER, counts in the loss; 1 where none is given."""
    longest: int = attrs.field(default=128, validator=validators.ge(8))
    """Tokens to read at once at most; a longer sentence is read in windows that overlap."""
    dropout: float = attrs.field(default=0.1, validator=[validators.ge(0), validators.lt(1)])
    """Share of a word's state dropped in training."""
    metric: Literal["f1", "accuracy", "loss"] | None = None
    """What says which checkpoint is best; by default the entities' f1, or accuracy where `entities` is off."""
    attention: Literal["bidirectional", "causal"] = "bidirectional"
    """As the encoder was pre-trained: bidirectional for masked language models, causal for a GPT."""

    def __attrs_post_init__(self) -> None:
        if len(set(self.labels)) < len(self.labels) or "" in self.labels:
            raise ValueError(f"labels: expected different names, got {list(self.labels)}")
        if self.metric == "f1" and not self.entities:
            raise ValueError('metric: "f1" is that of entities, and entities is off; expected "accuracy" or "loss"')
        if self.entities and (tags := [label for label in self.labels if is_tag(label)]):
            raise ValueError(f"labels: expected types of entities, such as PER, got the tags {', '.join(tags)}")


@attrs.frozen(eq=False)
class _Sentence:
    words: Words
    pieces: list[npt.NDArray[np.int64]]


class TokenClassification(Task):
    """The tag of each word; one answer a row, in order.

    {"tokens": words, "tags": tags in BIO, "entities": [{"type", "text", "start", "end", "probability"}]}: `start` is
    the number of an entity's first word, `end` that of the word behind it, and its probability the product of its
    words'.  Where the row is a text, "start_char" and "end_char" say where the entity stands in it.  Among all valid
    sequences of BIO tags the likeliest is answered.  There are no entities where the tags are others.
    """

    name = "token-classification"
    Config = TokenClassificationConfig
    reads: ClassVar[frozenset[str]] = frozenset({"tag"})
    verb: ClassVar[str | None] = "tag"

    def __init__(self, config: TokenClassificationConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.tokenizer = tokenizer

    @property
    def metric(self) -> str | None:
        metric = self.config.metric or ("f1" if self.config.entities else "accuracy")
        return None if metric == "loss" else metric

    def build_objective(self, labels: Sequence[str]) -> Tag:
        config = TagConfig(
            labels=tuple(labels),
            class_weights=self.config.class_weights,
            dropout=self.config.dropout,
            attention=self.config.attention,
        )
        return Tag(config, self.tokenizer.vocabulary)

    def row(self, text: str) -> Row:
        return {self.config.column: text}

    def labels(self, row: Row) -> Sequence[str]:
        """The row's tags, those of entities in BIO; raises DataError that names the word whose tag is none."""
        return self._tags(row, len(words_of(row, self.config.column).words))

    def all_labels(self, found: Sequence[str]) -> Sequence[str]:
        """The tags found, or those of the config; of entities both tags of each type, and O."""
        if not self.config.entities:
            return self.config.labels or found
        return bio_labels(self.config.labels or sorted({split_tag(tag)[1] for tag in found} - {""}))

    def examples(self, row: Row) -> Iterator[Example]:
        """A sentence's windows, in which each of its words has its tag once."""
        sentence = self._read(row)
        tags = self._tags(row, len(sentence.pieces))
        if not any(map(len, sentence.pieces)):
            raise DataError(f'column "{self.config.column}": no word of it has a token')
        for window in self._windows(sentence, self.config.longest, self.config.attention):
            target: list[str | None] = [None] * len(window.example.tokens)
            for word, place in zip(window.words, window.places, strict=True):
                target[place] = tags[word]
            yield attrs.evolve(window.example, target=tuple(target))

    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        assert isinstance(head, TagHead)
        if self.config.entities and (others := [label for label in head.labels if not is_tag(label)]):
            raise FitError(f'this head\'s labels are no tags of entities, such as "{others[0]}": set entities = false')
        longest = most_tokens(self.config.longest, encoder)

        def tag(sentences: Sequence[_Sentence]) -> Iterator[dict[str, Any]]:
            windows = chain.from_iterable(self._windows(sentence, longest, head.attention) for sentence in sentences)
            scores = chain.from_iterable(
                self._score(encoder, head, some) for some in batches(windows, attrgetter("tokens"), batch_tokens)
            )
            unread = _unread(head.labels)
            allowed = may_follow(head.labels) if self.config.entities else None
            for sentence in sentences:
                found = [next(scores) if len(piece) else unread for piece in sentence.pieces]
                path = best_path(np.array(found).reshape(-1, len(head.labels)), allowed)
                yield self._answer(sentence.words, head.labels, path, found)

        def tokens(sentence: _Sentence) -> int:
            return sum(map(len, sentence.pieces))

        return answer(rows, lambda _, row: self._read(row), tokens, tag, batch_tokens=batch_tokens)

    def tally(self, prediction: Any, row: Row) -> Mapping[str, float]:
        """Words and right ones, and for each type how many entities were found, wrongly given and missed."""
        if row.get(self.config.tags_column) is None:
            return {}
        gold, said = self.labels(row), prediction.get("tags", [])
        sums = {"words": float(len(gold)), "right": float(sum(map(str.__eq__, gold, said)))}
        if self.config.entities:
            wanted, given = set(spans_of(gold)), set(spans_of(said))
            for what, spans in (("hit", wanted & given), ("extra", given - wanted), ("missed", wanted - given)):
                for kind, count in Counter(span.type for span in spans).items():
                    sums[f"{what} {kind}"] = float(count)
        return sums

    def score(self, total: Mapping[str, float]) -> Mapping[str, float]:
        """Accuracy of words; precision, recall and F1 of entities, which are right as a whole, and each type's F1."""
        if not total.get("words"):
            return {}
        metrics = {"accuracy": total["right"] / total["words"]}
        if self.config.entities:
            types = sorted({name.partition(" ")[2] for name in total if " " in name})
            counts = [[total.get(f"{what} {kind}", 0.0) for what in ("hit", "extra", "missed")] for kind in types]
            hit, extra, missed = map(sum, zip(*counts, strict=True)) if counts else (0.0, 0.0, 0.0)
            metrics |= {"precision": _share(hit, hit + extra), "recall": _share(hit, hit + missed)}
            metrics |= {"f1": _share(2 * hit, 2 * hit + extra + missed)}
            for kind, (hit, extra, missed) in zip(types, counts, strict=True):
                if not hit + extra + missed:  # of a resample without such an entity
                    continue
                metrics[f"f1 {kind}"] = _share(2 * hit, 2 * hit + extra + missed)
        return metrics

    def _read(self, row: Row) -> _Sentence:
        words = words_of(row, self.config.column)
        return _Sentence(words, pieces_of(self.tokenizer, words.words))

    def _windows(self, sentence: _Sentence, longest: int, attention: Attention) -> Iterator[WordWindow]:
        # With causal attention only a word's last piece has seen all of it.
        return word_windows(self.tokenizer, sentence.pieces, longest, last=attention == "causal")

    def _tags(self, row: Row, words: int) -> list[str]:
        column = self.config.tags_column
        tags = value_of(row, column)
        if not isinstance(tags, (list, tuple)):
            raise DataError(f'column "{column}": wanted a list of tags, one a word, got {tags!r:.40}')
        if len(tags) != words:
            raise DataError(
                f'column "{column}": wanted {words} tags, as many as words in "{self.config.column}", got {len(tags)}'
            )
        for number, tag in enumerate(tags, 1):
            try:
                self._check(tag)
            except ValueError as error:
                raise DataError(f'column "{column}", word {number}: {error}') from None
        return bio(spans_of(tags), words) if self.config.entities else list(tags)

    def _check(self, tag: object) -> None:
        """Raise ValueError for what is no tag, or none of `labels`."""
        if not isinstance(tag, str) or not tag:
            raise ValueError(f"wanted the name of a tag, got {tag!r:.40}")
        label = split_tag(tag)[1] if self.config.entities else tag
        if label and self.config.labels and label not in self.config.labels:
            raise ValueError(f'"{label}" is not among {", ".join(self.config.labels)}')

    def _score(self, encoder: Encoder, head: TagHead, windows: Sequence[WordWindow]) -> npt.NDArray[np.float32]:
        """[words, tags] log-probabilities of the words that are tagged in `windows`."""
        filler = self.tokenizer.vocabulary.special["pad"]
        inputs, starts = pack([window.example for window in windows], attention=head.attention, filler=filler)
        places = np.concatenate([start + window.places for start, window in zip(starts, windows, strict=True)])
        device = head.dense.weight.device
        with inference(encoder, head):
            hidden = encoder(inputs.to(device))[torch.from_numpy(places).to(device)]
            scores: npt.NDArray[np.float32] = head(hidden).float().log_softmax(-1).cpu().numpy()
        return scores

    def _answer(
        self,
        words: Words,
        labels: Sequence[str],
        path: npt.NDArray[np.int64],
        scores: Sequence[npt.NDArray[np.float32]],
    ) -> dict[str, Any]:
        tags = [labels[number] for number in path]
        chosen = [float(word[number]) for word, number in zip(scores, path, strict=True)]
        spans = spans_of(tags) if self.config.entities else []
        entities = [_entity(words, span, math.exp(sum(chosen[span.start : span.end]))) for span in spans]
        return {"tokens": words.words, "tags": tags, "entities": entities}


def _unread(labels: Sequence[str]) -> npt.NDArray[np.float32]:
    """[tags] the scores of a word that has no token, of which a model knows nothing: it is O where there is an O."""
    outside = np.array([label == OUTSIDE for label in labels])
    return np.where(outside | ~outside.any(), 0.0, -np.inf).astype(np.float32)


def _entity(words: Words, span: Span, probability: float) -> dict[str, Any]:
    found = {"type": span.type, "start": span.start, "end": span.end, "probability": probability}
    if words.text is None:
        return {**found, "text": " ".join(words.words[span.start : span.end])}
    start, end = words.offsets[span.start][0], words.offsets[span.end - 1][1]
    return {**found, "text": words.text[start:end], "start_char": start, "end_char": end}


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
