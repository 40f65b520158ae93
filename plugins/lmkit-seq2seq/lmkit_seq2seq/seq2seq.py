"""Objective "seq2seq": predict the text that belongs to another, as its translation does (Raffel et al. 2020)."""

from __future__ import annotations

import attrs
import numpy as np

from lmkit.batch import Example
from lmkit.errors import DataError
from lmkit.parts.losses import LossConfig
from lmkit_seq2seq.conditional import Conditional, Ids


@attrs.frozen(kw_only=True)
class Seq2SeqConfig(LossConfig):
    """What is added to the loss: what is read and what is answered comes from the rows."""


class Seq2Seq(Conditional):
    """Predict `Example.target`, ids with the token that ends them, from the example's one sequence."""

    name = "seq2seq"
    Config = Seq2SeqConfig

    def answers(self, example: Example, progress: float | None) -> list[tuple[Ids, Ids]]:
        """Raises DataError for an example without a target, as plain text has none."""
        if example.target is None or len(example.lengths) != 1:
            raise DataError('objective "seq2seq" learns from rows with an answer, and not from plain text')
        return [(np.asarray(example.tokens, np.int64), np.asarray(example.target, np.int64))]
