"""Objective "tag": which tag each word has, read off one of its tokens (Devlin et al. 2019, section 5.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import attrs
import numpy as np
import torch
import torch.nn.functional as F
from attrs import validators
from torch import Tensor, nn

from lmkit.batch import Attention, Batch, Example, pack
from lmkit.errors import DataError
from lmkit.interfaces import Encoder, Objective, Vocabulary
from lmkit.parts.heads import Transform
from lmkit.parts.layers import draw_weights
from lmkit_finetune.labels import check_labels


@attrs.frozen(kw_only=True)
class TagConfig:
    """The tags, and how a token's state becomes scores of them."""

    labels: tuple[str, ...] = attrs.field()
    """The tags, in the order of the head's scores."""
    class_weights: Mapping[str, float] = attrs.field(
        factory=dict, validator=validators.deep_mapping(validators.instance_of(str), validators.ge(0))
    )
    """How much a word of a tag counts in the loss; 1 where none is given."""
    dropout: float = attrs.field(default=0.1, validator=[validators.ge(0), validators.lt(1)])
    """Share of a token's state dropped in training."""
    attention: Literal["bidirectional", "causal"] = "bidirectional"
    """As the encoder was pre-trained: bidirectional for masked language models, causal for a GPT."""

    def __attrs_post_init__(self) -> None:
        check_labels(self.labels, self.class_weights)


@attrs.frozen(eq=False, kw_only=True)
class TagBatch(Batch):
    """Sequences, and the tags of some of their tokens."""

    scored: Tensor
    """[N] indices into the batch's T tokens."""
    targets: Tensor
    """[N] int64 number of the tag there."""


class TagHead(nn.Module):
    """A token's state -> a score for each tag; it knows the tags' names."""

    def __init__(self, encoder: Encoder, config: TagConfig) -> None:
        super().__init__()
        self.labels = config.labels
        self.attention: Attention = config.attention
        self.dropout = nn.Dropout(config.dropout)
        self.before = Transform(encoder, wanted=encoder.head_style.transform_always)
        self.dense = nn.Linear(encoder.width, len(config.labels))
        draw_weights(self, 0.02)

    def forward(self, hidden: Tensor) -> Tensor:
        """[N, tags] scores of `hidden` [N, width]."""
        scores: Tensor = self.dense(self.dropout(self.before.transform(hidden)))
        return scores


class Tag(Objective[TagBatch]):
    """Which tag tokens have; an example's target is a tag's name for each of its tokens, None for one that has none."""

    name = "tag"
    Config = TagConfig
    head_kind = "tag"
    attention: Attention = "bidirectional"

    def __init__(self, config: TagConfig, vocabulary: Vocabulary) -> None:
        self.config = config
        self.attention = config.attention
        self._filler = vocabulary.special["pad"]
        self._numbers = {label: number for number, label in enumerate(config.labels)}
        self._weights = torch.tensor([config.class_weights.get(label, 1.0) for label in config.labels])

    @property
    def weights(self) -> Mapping[str, float]:
        return {"tag": 1.0}

    def build_head(self, encoder: Encoder) -> TagHead:
        return TagHead(encoder, self.config)

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> TagBatch:
        inputs, starts = pack(examples, attention=self.attention, filler=self._filler)
        numbers = [self._target(example) for example in examples]  # -1 where there is no tag
        scored = np.concatenate([start + np.flatnonzero(n >= 0) for start, n in zip(starts, numbers, strict=True)])
        targets = np.concatenate([n[n >= 0] for n in numbers])
        return TagBatch(
            inputs=inputs,
            counts={"tag": len(targets)},
            tokens=sum(len(e.tokens) for e in examples),
            scored=torch.from_numpy(scored),
            targets=torch.from_numpy(targets),
        )

    def loss(self, encoder: Encoder, head: nn.Module, batch: TagBatch) -> dict[str, Tensor]:
        return {"tag": self._loss(head(encoder(batch.inputs)[batch.scored]).float(), batch.targets)}

    def measure(self, encoder: Encoder, head: nn.Module, batch: TagBatch) -> dict[str, Tensor]:
        """The loss, and "tag.accuracy": words whose likeliest tag is right."""
        scores = head(encoder(batch.inputs)[batch.scored]).float()
        right = (scores.argmax(-1) == batch.targets).float().sum()
        return {"tag": self._loss(scores, batch.targets), "tag.accuracy": right}

    def _loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(scores, targets, weight=self._weights.to(scores.device), reduction="sum")

    def _target(self, example: Example) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """[n] numbers of an example's tags, -1 where it has none."""
        tags = example.target
        if not isinstance(tags, tuple) or len(tags) != len(example.tokens):
            raise DataError(f"example {example.key}: wanted a tag, or None, for each of its tokens, got {tags!r:.60}")
        for tag in tags:
            if tag is not None and tag not in self._numbers:
                known = ", ".join(self.config.labels)
                raise DataError(f"example {example.key}: tag {tag!r} is not among {known}")
        return np.array([-1 if tag is None else self._numbers[tag] for tag in tags], np.int64)
