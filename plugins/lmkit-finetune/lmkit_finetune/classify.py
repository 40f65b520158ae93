"""Objective "classify": which class a sequence belongs to, or which of several (Devlin et al. 2019, section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import torch
import torch.nn.functional as F
from attrs import validators
from torch import Tensor, nn

from lmkit.batch import Batch, Example, pack
from lmkit.errors import DataError
from lmkit.interfaces import Encoder, Vocabulary
from lmkit_finetune.labels import check_labels
from lmkit_finetune.state import StateConfig, StateHead, StateObjective


@attrs.frozen(kw_only=True)
class ClassifyConfig(StateConfig):
    """The classes, and how a sequence's states become scores of them."""

    labels: tuple[str, ...] = attrs.field()
    """The classes, in the order of the head's scores."""
    several: bool = False
    """Whether a sequence may have several classes, or none: each is then decided alone."""
    class_weights: Mapping[str, float] = attrs.field(
        factory=dict, validator=validators.deep_mapping(validators.instance_of(str), validators.ge(0))
    )
    """How much an example of a class counts in the loss; 1 where none is given."""

    def __attrs_post_init__(self) -> None:
        check_labels(self.labels, self.class_weights)


@attrs.frozen(eq=False, kw_only=True)
class ClassifyBatch(Batch):
    """Sequences with their classes."""

    targets: Tensor
    """[S] int64 number of each sequence's class, or [S, classes] float32 with 1 for each of its classes."""


class ClassHead(StateHead):
    """A sequence's state -> a score for each class; it knows the classes' names."""

    def __init__(self, encoder: Encoder, config: ClassifyConfig) -> None:
        super().__init__(encoder, len(config.labels), config)
        self.labels = config.labels
        self.several = config.several


class Classify(StateObjective[ClassifyBatch]):
    """Which class a sequence belongs to; an example's target is the name of a class, or names of several."""

    name = "classify"
    Config = ClassifyConfig
    head_kind = "classify"

    def __init__(self, config: ClassifyConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self._numbers = {label: number for number, label in enumerate(config.labels)}
        self._weights = torch.tensor([config.class_weights.get(label, 1.0) for label in config.labels])

    def build_head(self, encoder: Encoder) -> ClassHead:
        return ClassHead(encoder, self.config)

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ClassifyBatch:
        inputs, _ = pack(examples, attention=self.attention, filler=self._filler)
        numbers = [self._target(example) for example in examples]
        if self.config.several:
            targets = torch.zeros(len(examples), len(self._numbers))
            for row, chosen in zip(targets, numbers, strict=True):
                row[chosen] = 1
        else:
            targets = torch.tensor([chosen[0] for chosen in numbers])
        return ClassifyBatch(
            inputs=inputs,
            counts={"classify": targets.numel()},
            tokens=sum(len(e.tokens) for e in examples),
            targets=targets,
        )

    def loss(self, encoder: Encoder, head: nn.Module, batch: ClassifyBatch) -> dict[str, Tensor]:
        return {"classify": self._loss(head(encoder, batch.inputs).float(), batch.targets)}

    def measure(self, encoder: Encoder, head: nn.Module, batch: ClassifyBatch) -> dict[str, Tensor]:
        """The loss, and "classify.accuracy": decisions that are right."""
        scores = head(encoder, batch.inputs).float()
        right = (scores > 0) == (batch.targets > 0) if self.config.several else scores.argmax(-1) == batch.targets
        return {"classify": self._loss(scores, batch.targets), "classify.accuracy": right.float().sum()}

    def _loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        weights = self._weights.to(scores.device)
        if self.config.several:
            losses = F.binary_cross_entropy_with_logits(scores, targets, reduction="none")
            return (losses * torch.where(targets > 0, weights, 1.0)).sum()
        return F.cross_entropy(scores, targets, weight=weights, reduction="sum")

    def _target(self, example: Example) -> list[int]:
        names = example.target if self.config.several else [example.target]
        try:
            return [self._numbers[name] for name in names]
        except (KeyError, TypeError):
            known = ", ".join(self.config.labels)
            raise DataError(f"example {example.key}: label {example.target!r} is not among {known}") from None
