"""Objective "regress": a number for a sequence, by squared error (Devlin et al. 2019, section 4.1, on STS-B)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import torch
from torch import Tensor, nn

from lmkit.batch import Batch, Example, pack
from lmkit.errors import DataError
from lmkit.interfaces import Encoder
from lmkit_finetune.state import StateConfig, StateHead, StateObjective


@attrs.frozen(kw_only=True)
class RegressConfig(StateConfig):
    """Which range the numbers have, and how a sequence's states become one."""

    lowest: float = 0.0
    """The number that the head learns as 0."""
    highest: float = 1.0
    """The number that the head learns as 1: so the loss has one scale, whatever the numbers are."""

    def __attrs_post_init__(self) -> None:
        if not self.lowest < self.highest:
            raise ValueError(f"lowest {self.lowest:g} is not below highest {self.highest:g}")
        if not math.isfinite(self.highest - self.lowest):
            raise ValueError(f"from lowest {self.lowest:g} to highest {self.highest:g} is more than a float holds")


@attrs.frozen(eq=False, kw_only=True)
class RegressBatch(Batch):
    """Sequences with their numbers."""

    targets: Tensor
    """[S] float32 number of each sequence, where lowest is 0 and highest 1."""


class RegressHead(StateHead):
    """A sequence's state -> a number; it knows the range."""

    def __init__(self, encoder: Encoder, config: RegressConfig) -> None:
        super().__init__(encoder, 1, config)
        self.lowest = config.lowest
        self.highest = config.highest


class Regress(StateObjective[RegressBatch]):
    """A number for a sequence; an example's target is that number."""

    name = "regress"
    Config = RegressConfig
    head_kind = "regress"

    def build_head(self, encoder: Encoder) -> RegressHead:
        return RegressHead(encoder, self.config)

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> RegressBatch:
        for example in examples:
            if not isinstance(example.target, (int, float)) or not math.isfinite(example.target):
                raise DataError(f"example {example.key}: wanted a number as target, got {example.target!r:.40}")
        inputs, _ = pack(examples, attention=self.attention, filler=self._filler)
        numbers = torch.tensor([float(example.target) for example in examples], dtype=torch.float64)
        return RegressBatch(
            inputs=inputs,
            counts={"regress": len(examples)},
            tokens=sum(len(e.tokens) for e in examples),
            targets=((numbers - self.config.lowest) / (self.config.highest - self.config.lowest)).float(),
        )

    def loss(self, encoder: Encoder, head: nn.Module, batch: RegressBatch) -> dict[str, Tensor]:
        found = head(encoder, batch.inputs).float()[:, 0]
        return {"regress": (found - batch.targets).square().sum()}
