"""Objective "fim": fill in the middle, by moving a text's middle to its end (Bavarian et al. 2022, sections 3 and 4).

    prefix middle suffix  ->  <prefix> prefix <suffix> suffix <middle> middle <end>           "PSM"
                          ->  <prefix> <suffix> suffix <middle> prefix middle <end>           "SPM"

Sequences of a block are changed after they were cut, each within its own length (the paper's context level), so a few
of a text's last tokens make room for the marks.  Validation reads from left to right, to be compared with "clm".
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
from lmkit.parts.continuation import Continuation, sequences
from lmkit.parts.losses import LossConfig

ROLES = ("fim_prefix", "fim_suffix", "fim_middle")
"""Special tokens that a tokenizer has to have, besides "eos"."""


@attrs.frozen(kw_only=True)
class FillMiddleConfig(LossConfig):
    """How many texts are changed, and how."""

    rate: float = attrs.field(default=0.5, validator=[validators.ge(0), validators.le(1)])
    """Share of sequences whose middle is moved; the rest is read from left to right."""
    spm: float = attrs.field(default=0.5, validator=[validators.ge(0), validators.le(1)])
    """Share of those that begin with the suffix."""


class FillInTheMiddle(Continuation):
    """Predict each token from those before it, where a part of the texts has its middle at its end."""

    name = "fim"
    Config = FillMiddleConfig
    tokenizer_fields: ClassVar[Mapping[str, Any]] = {"middle": True}

    def __init__(self, config: FillMiddleConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        missing = [role for role in (*ROLES, "eos") if role not in vocabulary.special]
        if missing:
            raise FitError(
                f'objective "fim" needs a tokenizer with the special tokens {", ".join(missing)}; '
                f"a new bpe, unigram or bytes has them with middle = true in [tokenizer]"
            )
        self._rate, self._spm = config.rate, config.spm
        self._marks = [vocabulary.special[role] for role in ROLES]
        self._end = vocabulary.special["eos"]
        self._special = vocabulary.special_ids()

    def prepared(self, example: Example, progress: float | None) -> tuple[Example, None]:
        if progress is None or example.target is not None:
            return example, None
        rng, tokens = example.rng(), np.array(example.tokens, np.int64)
        for where in sequences(example):
            if rng.random() < self._rate:
                tokens[where] = self._moved(tokens[where], rng)
        return attrs.evolve(example, tokens=tokens), None

    def _moved(self, tokens: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """A sequence with its middle at its end, as long as it was; one that is too short as it is."""
        plain = ~np.isin(tokens, self._special)
        begin = int(plain.argmax())
        room = len(tokens) - begin - len(ROLES) - 1
        text = tokens[begin:][plain[begin:]][:room]
        if room < 3 or len(text) < room:  # too short, or of several texts
            return tokens
        first, last = np.sort(rng.integers(0, room + 1, 2))
        prefix, suffix, middle = ([mark] for mark in self._marks)
        parts = [prefix, text[:first], suffix, text[last:], middle, text[first:last]]
        if rng.random() < self._spm:
            parts = [prefix, suffix, text[last:], middle, text[:last]]
        return np.concatenate([tokens[:begin], *parts, [self._end]])
