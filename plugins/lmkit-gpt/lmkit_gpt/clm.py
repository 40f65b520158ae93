"""Objective "clm": predict each token from those before it (causal language modelling)."""

from __future__ import annotations

import attrs

from lmkit.parts.continuation import Continuation
from lmkit.parts.losses import LossConfig


@attrs.frozen(kw_only=True)
class CausalConfig(LossConfig):
    """What is added to the loss: every token but a sequence's first is predicted."""


class CausalLanguageModelling(Continuation):
    """Predict each token from those before it; a sequence's first token is only read."""

    name = "clm"
    Config = CausalConfig
