"""Objective "prefix-lm": predict a text's end from its beginning, which is read in both directions.

(Raffel et al. 2020, section 3.2.4; Dong et al. 2019, section 2.3, call it the sequence-to-sequence mask.)
"""

from __future__ import annotations

import attrs
import numpy as np

from lmkit.batch import Attention, Example, IntArray
from lmkit.parts.continuation import Continuation, sequences
from lmkit.parts.losses import LossConfig


@attrs.frozen(kw_only=True)
class PrefixConfig(LossConfig):
    """What is added to the loss: where a prefix ends is drawn, each place as often as any other."""


class PrefixLanguageModelling(Continuation):
    """Predict what follows a prefix: a random part of each sequence, or the prompt of a prompt with its completion."""

    name = "prefix-lm"
    Config = PrefixConfig
    attention: Attention = "mixed"

    def prepared(self, example: Example, progress: float | None) -> tuple[Example, IntArray]:
        """The example with what is predicted marked; a prefix is seen to its end, what follows it to itself."""
        rng = example.rng()
        wanted = np.zeros(len(example.tokens), bool) if example.target is None else np.array(example.target, bool)
        reach = np.empty(len(example.tokens), np.int64)
        for where in sequences(example):
            length = where.stop - where.start
            if example.target is None:
                prefix = int(rng.integers(1, max(2, length)))
                wanted[where] = np.arange(length) >= prefix
            else:
                prefix = int(wanted[where].argmax()) if wanted[where].any() else length
            reach[where] = np.maximum(np.arange(length), prefix - 1)
        return attrs.evolve(example, target=wanted), reach
