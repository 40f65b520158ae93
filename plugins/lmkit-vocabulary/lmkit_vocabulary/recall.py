"""Objective "recall": a sentence is predicted, token by token, after the words that it has to have."""

from __future__ import annotations

import attrs

from lmkit.parts.continuation import Continuation
from lmkit.parts.losses import LossConfig


@attrs.frozen(kw_only=True)
class RecallConfig(LossConfig):
    """What is added to the loss: the examples mark their sentences."""


class Recall(Continuation):
    """Predict the tokens that an example's target marks; what stands before them is only read."""

    name = "recall"
    Config = RecallConfig
