"""Corrupting tokens for masked language modelling; every draw comes from the generator that is passed in."""

from __future__ import annotations

from typing import Any, Literal

import attrs
import numpy as np
import numpy.typing as npt
from attrs import validators

from lmkit.interfaces.tokenizer import Vocabulary
from lmkit.parts.losses import LossConfig

Unit = Literal["token", "word", "span"]
IntArray = npt.NDArray[np.int64]

SPAN_END = 0.2
"""Probability that a span ends after a word."""
LONGEST_SPAN = 10
"""Words of a span at most."""


VALIDATION_RATE = 0.15
"""Masked share in validation, whatever the training rate, so that runs can be compared."""


@attrs.frozen(kw_only=True)
class MaskingConfig(LossConfig):
    """How much is masked, and with what."""

    rate: float = attrs.field(default=0.3, validator=[validators.gt(0), validators.le(1)])
    """Share of tokens to predict at the start of training."""
    final_rate: float | None = attrs.field(
        default=None, validator=validators.optional([validators.gt(0), validators.le(1)])
    )
    """Share at the end, reached in a straight line; by default the rate stays."""
    masked: float = attrs.field(default=0.8, validator=[validators.ge(0), validators.le(1)])
    """Share of those that become the mask token."""
    random: float = attrs.field(default=0.1, validator=[validators.ge(0), validators.le(1)])
    """Share of those that become a random token; the rest stay as they are."""
    unit: Unit = "token"
    """What is masked together: a token, all of a word's tokens, or a span of words."""

    def __attrs_post_init__(self) -> None:
        if self.masked + self.random > 1:
            raise ValueError(f"masked {self.masked} and random {self.random} are more than 1 together")

    def rate_at(self, progress: float | None) -> float:
        """The rate when this share of the budget is spent; None: in validation."""
        if progress is None:
            return VALIDATION_RATE
        return self.rate + ((self.final_rate or self.rate) - self.rate) * progress


@attrs.frozen(eq=False)
class Corrupted:
    """A sequence with some tokens replaced."""

    tokens: IntArray
    """[n]"""
    scored: IntArray
    """[k] sorted positions to predict."""
    targets: IntArray
    """[k] what stood there."""


class Masker:
    """Chooses k = rate x candidates tokens; most become [MASK], some a random token, some stay.

    (Devlin et al. 2019, section 3.1, with k fixed instead of drawn.)  Special tokens are never chosen nor drawn.
    By "token" exactly k are chosen, each alone.  By "word" all tokens of a word are chosen together (whole-word
    masking, Google's release of BERT in 2019), and by "span" words that follow each other, of which a span has a
    geometric number and one fate (Joshi et al. 2020, section 3.1): as many as k tokens have room for.
    """

    def __init__(self, vocabulary: Vocabulary, config: MaskingConfig) -> None:
        ordinary = np.ones(vocabulary.size, bool)
        ordinary[vocabulary.special_ids()] = False
        self._vocabulary = vocabulary
        self._is_ordinary = ordinary
        self._ordinary = np.flatnonzero(ordinary)
        self._mask = vocabulary.special["mask"]
        self._masked = config.masked
        self._random = config.random
        self._unit = config.unit

    def corrupt(self, tokens: npt.NDArray[Any], rate: float, rng: np.random.Generator) -> Corrupted:
        """Mask `rate` of the ordinary tokens of `tokens` [n], at least one where there are any."""
        ids: IntArray = np.asarray(tokens, np.int64)
        candidates = np.flatnonzero(self._is_ordinary[ids])
        count = min(len(candidates), max(1, round(rate * len(candidates))))
        if self._unit == "token" or not count:
            scored = np.sort(rng.choice(candidates, count, replace=False)) if count else candidates
            fate = rng.random(count)
        else:
            scored, span = self._whole_words(ids, candidates, count, rng)
            fate = rng.random(len(scored))
            if self._unit == "span":
                fate = fate[span]
        replacements = rng.choice(self._ordinary, len(scored)) if len(self._ordinary) else ids[scored]
        targets = ids[scored]
        changed = np.where(fate < self._masked + self._random, replacements, targets)
        changed[fate < self._masked] = self._mask
        corrupted = ids.copy()
        corrupted[scored] = changed
        return Corrupted(corrupted, scored, targets)

    def _whole_words(
        self, ids: IntArray, candidates: IntArray, count: int, rng: np.random.Generator
    ) -> tuple[IntArray, IntArray]:
        """At most `count` positions, sorted, of words drawn from among the candidates; and [k] the span of each."""
        words = self._vocabulary.words(ids)[candidates]
        begins = np.flatnonzero(np.diff(words, prepend=-1))
        sizes = np.diff(begins, append=len(candidates))
        # Whether nothing special stands between a word and the one before it.
        follows = candidates[begins] == candidates[begins - 1] + 1
        order = rng.permutation(len(begins))
        lengths = np.ones(len(begins), np.int64)
        if self._unit == "span":
            lengths = rng.geometric(SPAN_END, len(begins)).clip(max=LONGEST_SPAN)
        span_of = np.full(len(begins), -1)
        room = count
        for number, (first, length) in enumerate(zip(order.tolist(), lengths.tolist(), strict=True)):
            for word in range(first, min(first + length, len(begins))):
                if span_of[word] >= 0 or sizes[word] > room or (word > first and not follows[word]):
                    break
                span_of[word] = number
                room -= int(sizes[word])
            if not room:
                break
        spans = np.repeat(span_of, sizes)  # [candidates]
        if room == count:  # every word is longer than what may be masked: a part of one, so that there is something
            start = int(begins[order[0]])
            spans[start : start + count] = 0
        chosen = spans >= 0
        return candidates[chosen], np.unique(spans[chosen], return_inverse=True)[1]
