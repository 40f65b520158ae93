"""Corrupting tokens for masked language modelling; every draw comes from the generator that is passed in."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from lmkit.interfaces.tokenizer import Vocabulary


@attrs.frozen(eq=False)
class Corrupted:
    """A sequence with some tokens replaced."""

    tokens: npt.NDArray[np.int64]
    """[n]"""
    scored: npt.NDArray[np.int64]
    """[k] sorted positions to predict."""
    targets: npt.NDArray[np.int64]
    """[k] what stood there."""


class Masker:
    """Chooses exactly k = rate x candidates tokens; most become [MASK], some a random token, some stay.

    (Devlin et al. 2019, section 3.1, with k fixed instead of drawn.)  Special tokens are never chosen nor drawn.
    """

    def __init__(self, vocabulary: Vocabulary, mask: int, masked: float, random: float) -> None:
        ordinary = np.ones(vocabulary.size, bool)
        ordinary[vocabulary.special_ids()] = False
        self._is_ordinary = ordinary
        self._ordinary = np.flatnonzero(ordinary)
        self._mask = mask
        self._masked = masked
        self._random = random

    def corrupt(self, tokens: npt.NDArray[Any], rate: float, rng: np.random.Generator) -> Corrupted:
        """Mask `rate` of the ordinary tokens of `tokens` [n], at least one where there are any."""
        ids: npt.NDArray[np.int64] = np.asarray(tokens, np.int64)
        candidates = np.flatnonzero(self._is_ordinary[ids])
        count = min(len(candidates), max(1, round(rate * len(candidates))))
        scored = np.sort(rng.choice(candidates, count, replace=False)) if count else candidates
        fate = rng.random(count)
        replacements = rng.choice(self._ordinary, count) if len(self._ordinary) else ids[scored]
        targets = ids[scored]
        changed = np.where(fate < self._masked + self._random, replacements, targets)
        changed[fate < self._masked] = self._mask
        corrupted = ids.copy()
        corrupted[scored] = changed
        return Corrupted(corrupted, scored, targets)
