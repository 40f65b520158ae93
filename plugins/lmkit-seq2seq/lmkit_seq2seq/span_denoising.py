"""Objective "span-denoising": spans of a text become single marks, and are predicted behind their marks.

    Robin drew his bow and ran home .  ->  reads     Robin <0> bow and <1> .
                                           predicts  <0> drew his <1> ran home <end>

(Raffel et al. 2020, section 3.1.4.)  With a mixture each sequence draws its kind (UL2, Tay et al. 2022, section 3.1):
short spans, long or many ones, or all that follows a prefix.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs
import numpy as np
import numpy.typing as npt
from attrs import validators

from lmkit.batch import Example
from lmkit.errors import FitError
from lmkit.interfaces import Vocabulary
from lmkit.parts.continuation import sequences
from lmkit.parts.losses import LossConfig
from lmkit_seq2seq.conditional import Conditional, Ids


@attrs.frozen(kw_only=True)
class Denoiser:
    """One kind of noise."""

    rate: float = attrs.field(default=0.15, validator=[validators.gt(0), validators.lt(1)])
    """Share of tokens to predict."""
    span: float = attrs.field(default=3.0, validator=validators.ge(1))
    """Tokens of a span on average."""
    suffix: bool = False
    """Whether to predict the last tokens of a text instead of spans within it."""


UL2 = (
    Denoiser(rate=0.15, span=3.0),
    Denoiser(rate=0.15, span=8.0),
    Denoiser(rate=0.5, span=3.0),
    Denoiser(rate=0.5, span=8.0),
    Denoiser(rate=0.15, span=32.0),
    Denoiser(rate=0.5, span=32.0),
    Denoiser(rate=0.25, suffix=True),
)
"""The kinds of UL2's table 1, each as often as any other."""


@attrs.frozen(kw_only=True)
class SpanDenoisingConfig(LossConfig):
    """How much of a text is hidden, in spans of which length."""

    rate: float = attrs.field(default=0.15, validator=[validators.gt(0), validators.lt(1)])
    """Share of tokens to predict."""
    span: float = attrs.field(default=3.0, validator=validators.ge(1))
    """Tokens of a span on average."""
    mixture: tuple[Denoiser, ...] | str = attrs.field(default=())
    """Several kinds, of which each sequence draws one, in place of `rate` and `span`; "ul2" for those of UL2."""

    def __attrs_post_init__(self) -> None:
        if isinstance(self.mixture, str) and self.mixture != "ul2":
            raise ValueError(f'mixture: expected "ul2" or a list of tables, got {self.mixture!r}')

    @property
    def denoisers(self) -> tuple[Denoiser, ...]:
        if isinstance(self.mixture, str):
            return UL2
        return self.mixture or (Denoiser(rate=self.rate, span=self.span),)


class SpanDenoising(Conditional):
    """Predict the spans of a text that were replaced by marks."""

    name = "span-denoising"
    Config = SpanDenoisingConfig
    tokenizer_fields: ClassVar[Mapping[str, Any]] = {"marks": 100}

    def __init__(self, config: SpanDenoisingConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        special = vocabulary.special
        marks = [special[role] for role in sorted_marks(vocabulary)]
        if not marks or "eos" not in special:
            raise FitError(
                'objective "span-denoising" needs a tokenizer with the special tokens eos and mark_0, mark_1, ...; '
                "a new bpe, unigram or bytes has them with marks = 100 in [tokenizer]"
            )
        self._denoisers = config.denoisers
        self._marks = np.array(marks, np.int64)
        self._end = special["eos"]
        self._is_special = np.zeros(vocabulary.size, bool)
        self._is_special[vocabulary.special_ids()] = True

    def answers(self, example: Example, progress: float | None) -> list[tuple[Ids, Ids]]:
        rng, tokens = example.rng(), np.asarray(example.tokens, np.int64)
        return [self._noised(tokens[where], rng) for where in sequences(example)]

    def _noised(self, tokens: Ids, rng: np.random.Generator) -> tuple[Ids, Ids]:
        """What is read, with marks, and what is predicted; special tokens stay where they are."""
        ordinary = np.flatnonzero(~self._is_special[tokens])
        kind = self._denoisers[int(rng.integers(len(self._denoisers)))]
        if len(ordinary) < 2:
            return tokens, np.array([self._end])
        noise = np.zeros(len(tokens), bool)
        noise[ordinary] = spans(len(ordinary), kind, len(self._marks), rng)
        begins = noise & ~np.concatenate([[False], noise[:-1]])
        number = np.cumsum(begins) - 1  # of the span that a token belongs to, or that came last
        noise &= number < len(self._marks)  # a special token within a span makes two of it
        begins &= noise
        read = np.where(begins, self._marks[number.clip(min=0)], tokens)[begins | ~noise]
        where = np.flatnonzero(begins)
        said = np.insert(tokens[noise], np.cumsum(noise)[where] - 1, self._marks[: len(where)])
        return read, np.append(said, self._end)


def spans(length: int, kind: Denoiser, most: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """[length >= 2] which tokens are noise: in at most `most` spans, of a random partition each, never the first."""
    noise = min(max(round(length * kind.rate), 1), length - 1)
    found = np.zeros(length, bool)
    if kind.suffix:
        found[length - noise :] = True
        return found
    count = min(max(round(noise / kind.span), 1), most, noise, length - noise)
    runs = np.stack([_partition(length - noise, count, rng), _partition(noise, count, rng)], axis=1).flatten()
    return np.repeat(np.tile([False, True], count), runs)


def _partition(total: int, parts: int, rng: np.random.Generator) -> Ids:
    """[parts] lengths of at least 1 that sum to `total`, each way as likely as any other."""
    cuts = np.sort(rng.choice(np.arange(1, total), parts - 1, replace=False)) if parts > 1 else np.zeros(0, np.int64)
    return np.diff(np.concatenate([[0], cuts, [total]])).astype(np.int64)


def sorted_marks(vocabulary: Vocabulary) -> list[str]:
    """The roles of a vocabulary's marks, in their order."""
    return sorted((role for role in vocabulary.special if role.startswith("mark_")), key=lambda role: int(role[5:]))
