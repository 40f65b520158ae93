"""Task "vocabulary": sentences that have given words, all of them, whatever the model would rather say.

Fine-tuning reads plain text: of each sentence it makes the rare words, and learns to say the sentence after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import attrs
import numpy as np
import numpy.typing as npt
from attrs import validators
from torch import nn

from lmkit.batch import Example
from lmkit.errors import DataError, FitError
from lmkit.interfaces import Encoder, Task, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.parts.rows import answer, has_value, text_of
from lmkit_vocabulary.constraint import Constraint
from lmkit_vocabulary.rarity import Unfamiliar, unfamiliar
from lmkit_vocabulary.recall import Recall, RecallConfig
from lmkit_vocabulary.search import Goal, Hypothesis, Search
from lmkit_vocabulary.sentences import sentences, well_formed
from lmkit_vocabulary.token_kinds import TokenKinds, token_kinds
from lmkit_vocabulary.words import Word, words_of

_GOES_ON = "\N{RUNIC LETTER FEHU FEOH FE F}"
"""A letter that no word is asked with, which makes a word before it another word."""


@attrs.frozen(kw_only=True)
class VocabularyConfig:
    """Which columns hold words and texts, what counts as a word, and how sentences are looked for."""

    column: str = "words"
    """Column of the words: a list of them, or a string with commas between."""
    text_column: str = "text"
    """Column of a text: sentences are learned from it; asked without words, its unfamiliar words are proposed."""
    opening_column: str = "opening"
    """Column of how the sentences are to begin, where a row has one."""
    inflections: bool = False
    """Whether regular English forms (-s, -ed, -ing) count as the word."""
    propose: int = attrs.field(default=3, validator=[validators.ge(1), validators.le(100)])
    """Unfamiliar words of a text, or of a sentence that is learned from, that a sentence is made with, at most."""
    sentences: int = attrs.field(default=3, validator=[validators.ge(1), validators.le(100)])
    """Different sentences a row."""
    longest: int = attrs.field(default=48, validator=[validators.ge(2), validators.le(1000)])
    """Tokens of a sentence at most, beside those of the words that it has to have; longer ones are not learned."""
    beams: int = attrs.field(default=4, validator=[validators.ge(1), validators.le(1000)])
    """Unfinished sentences that are kept for each number of words, or pieces of words, that they still lack."""
    temperature: float = attrs.field(default=0.7, validator=validators.gt(0))
    """Of the draws: below 1 likely tokens become likelier."""
    no_repeat: int = attrs.field(default=3, validator=[validators.ge(0), validators.le(1000)])
    """No so many tokens come twice in a sentence in the same order, unless its words need it; 0: any may."""
    seed: int = attrs.field(default=1, validator=validators.ge(0))
    """Of the draws; with its place among the rows it fixes a row's answer."""


@attrs.frozen(eq=False)
class _Question:
    """What a row asks for."""

    words: list[Word]
    opening: str
    unfamiliar: list[Unfamiliar] | None
    goals: list[Goal]


class Vocabulary(Task):
    """Makes sentences that have all words of a row; one answer a row, in order.

    {"sentences": [{"text", "log_probability": a token, in nats, "words": {word: the form that the sentence has}}, the
    likeliest first], "words": those asked for, "covered": true}, and for a row with a text and no words {"unfamiliar":
    [{"word", "count", "pieces"}]} of the text beside it, whose first words are those asked for.
    """

    name = "vocabulary"
    Config = VocabularyConfig
    reads: ClassVar[frozenset[str]] = frozenset({"next-token", "masked-next-token"})
    verb: ClassVar[str | None] = "sentences"

    def __init__(self, config: VocabularyConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.tokenizer = tokenizer

    def build_objective(self, labels: Sequence[str]) -> Recall:
        return Recall(RecallConfig(), self.tokenizer.vocabulary)

    def row(self, text: str) -> Row:
        """The row of words with commas between; to ask about a text, ask with a row that has the text's column."""
        return {self.config.column: text}

    def examples(self, row: Row) -> Iterator[Example]:
        """One example a sentence that has unfamiliar words: one of them, two, ... in turn, up to `propose`."""
        special = self.tokenizer.vocabulary.special
        end = [special["eos"]] if "eos" in special else []
        number = 0
        for sentence in sentences(text_of(row, self.config.text_column)):
            rare = [found.word for found in unfamiliar(self.tokenizer, sentence)]
            ids = np.append(self._ids(f" {sentence}"), end).astype(np.int64)
            if rare and len(ids) <= self.config.longest:
                prompt = self._prompt(sorted(rare[: 1 + number % self.config.propose], key=str.casefold))
                tokens = np.concatenate([prompt, ids])
                yield Example(tokens=tokens, lengths=(len(tokens),), target=np.arange(len(tokens)) >= len(prompt))
                number += 1

    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        config = self.config
        search = Search(
            encoder,
            head,
            self._kinds,
            beams=config.beams,
            temperature=config.temperature,
            no_repeat=config.no_repeat,
        )

        def read(number: int, row: Row) -> _Question:
            return self._question(row, number, encoder.longest)

        def tokens(question: _Question) -> int:
            return sum((len(goal.prompt) + goal.limit) * goal.stages * config.beams for goal in question.goals)

        def make(questions: Sequence[_Question]) -> Iterator[dict[str, Any]]:
            found = iter(search.sentences([goal for question in questions for goal in question.goals]))
            for question in questions:
                yield self._answer(question, [next(found) for _ in question.goals])

        return answer(rows, read, tokens, make, batch_tokens=batch_tokens)

    def tally(self, prediction: Any, row: Row) -> Mapping[str, float]:
        """Of a row's sentences: words asked for and found, pairs of neighbouring words, different ones, likelihood."""
        made = prediction.get("sentences", [])
        texts = [sentence["text"] for sentence in made]
        forms = [
            (text, form) for text, sentence in zip(texts, made, strict=True) for form in sentence["words"].values()
        ]
        pairs = [pair for text in texts for pair in zip(text.split(), text.split()[1:], strict=False)]
        return {
            "sentences": float(len(made)),
            "words": float(len(forms)),
            "found": float(
                sum(form is not None and Word(form, (form,)).find(text) is not None for text, form in forms)
            ),
            "pairs": float(len(pairs)),
            "different": float(len(set(pairs))),
            "log_probability": float(sum(sentence["log_probability"] for sentence in made)),
        }

    def score(self, total: Mapping[str, float]) -> Mapping[str, float]:
        """Share of words covered, of bigrams that differ within a row (distinct-2, Li et al. 2016), mean likelihood."""
        if not total.get("sentences"):
            return {}
        metrics = {
            "coverage": total["found"] / total["words"],
            "log_probability": total["log_probability"] / total["sentences"],
        }
        return metrics | ({"distinct_2": total["different"] / total["pairs"]} if total["pairs"] else {})

    @cached_property
    def _kinds(self) -> TokenKinds:
        kinds = token_kinds(self.tokenizer)
        if not kinds.closers:
            raise FitError("sentences need a tokenizer with an end of text or a full stop; this one has neither")
        return kinds

    def _ids(self, text: str) -> npt.NDArray[np.int64]:
        return self.tokenizer.encode_batch([text])[0]

    def _prompt(self, words: Sequence[str]) -> npt.NDArray[np.int64]:
        """What the model reads before a sentence: its words, as an encoder reads a text that goes on."""
        ids = self._ids(f"{', '.join(words)}:")
        wrapped = self.tokenizer.wrap(ids)
        return wrapped.ids[: wrapped.first + len(ids)]

    def _question(self, row: Row, number: int, longest: int | None) -> _Question:
        config = self.config
        proposed = None
        if not has_value(row, config.column) and row.get(config.text_column) is not None:
            proposed = unfamiliar(self.tokenizer, text_of(row, config.text_column))
            if not proposed:
                raise DataError(f'column "{config.text_column}": no word of it is unfamiliar: every one is one token')
            row = {**row, config.column: [found.word for found in proposed[: config.propose]]}
        words = words_of(row, config.column, inflected=config.inflections)
        opening = " ".join(text_of(row, config.opening_column).split()) if has_value(row, config.opening_column) else ""
        prompt = self._prompt([word.text for word in words])
        if opening:
            prompt = np.concatenate([prompt, self._ids(f" {opening}")])
        constraint = Constraint([self._spellings(word) for word in words], self._kinds.separates)
        said = [n for n, word in enumerate(words) if word.find(opening)]
        ended = [n for n in said if words[n].find(opening + _GOES_ON)]  # the others stand at its very end
        start = constraint.start(ended, said)
        limit = constraint.missing(start) + config.longest
        if longest is not None:
            limit = min(limit, longest - len(prompt))
        needed = constraint.missing(start) + 1
        if needed > limit:
            raise DataError(
                f"{len(words):,} words need {len(prompt):,} tokens to ask for them and {needed:,} to say them, "
                f"but this model reads {longest:,} at most: ask for fewer words"
            )
        seeds = np.random.default_rng((config.seed, number)).integers(1 << 62, size=config.sentences).tolist()
        goals = [Goal(prompt, constraint, start, limit, bool(opening), seed) for seed in seeds]
        return _Question(words, opening, proposed, goals)

    def _spellings(self, word: Word) -> list[list[int]]:
        """Token ids of the forms of a word that the tokenizer can write."""
        before = self._ids("a")
        encoded = self.tokenizer.encode_batch([f" {form}" for form in word.forms])
        special = set(self.tokenizer.vocabulary.special_ids().tolist())
        possible = [
            ids.tolist()
            for ids in encoded
            if len(ids)
            and self._kinds.separates[ids[0]]
            and special.isdisjoint(ids.tolist())
            and word.find(self.tokenizer.decode([*before, *ids]))
        ]
        if not possible:
            raise DataError(f'column "{self.config.column}": this model\'s tokenizer cannot write {word.text!r:.40}')
        return possible

    def _answer(self, question: _Question, found: Sequence[Sequence[Hypothesis]]) -> dict[str, Any]:
        """The best of each search, and what others found in place of one that came twice."""
        made: dict[str, dict[str, Any]] = {}
        rest: list[dict[str, Any]] = []
        for hypotheses in found:
            ranked = sorted((self._sentence(question, h) for h in hypotheses), key=_rank)
            fresh = [sentence for sentence in ranked if sentence["text"] not in made]
            if fresh:
                made[fresh[0]["text"]] = fresh[0]
            rest += fresh[1:]
        for sentence in sorted(rest, key=_rank):
            if len(made) < len(found):
                made.setdefault(sentence["text"], sentence)
        best = sorted(made.values(), key=_rank)
        answered = {
            "sentences": best,
            "words": [word.text for word in question.words],
            "covered": all(None not in sentence["words"].values() for sentence in best),
        }
        if question.unfamiliar is None:
            return answered
        return {"unfamiliar": [attrs.asdict(word) for word in question.unfamiliar], **answered}

    def _sentence(self, question: _Question, hypothesis: Hypothesis) -> dict[str, Any]:
        opening = self._ids(f" {question.opening}").tolist() if question.opening else []
        text = self.tokenizer.decode([*opening, *hypothesis.tokens]).strip()
        return {
            "text": text,
            "log_probability": hypothesis.mean,
            "words": {word.text: word.find(text) for word in question.words},
        }


def _rank(sentence: Mapping[str, Any]) -> tuple[bool, float]:
    """Well-formed sentences come first, and of those the likelier."""
    return not well_formed(sentence["text"]), -sentence["log_probability"]
