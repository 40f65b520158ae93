"""Objective "span": where in a text an answer begins and ends (Devlin et al. 2019, sections 4.2 and 4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lmkit.batch import Attention, Batch, Example, pack
from lmkit.errors import DataError
from lmkit.interfaces import Encoder, Objective, Vocabulary
from lmkit.parts.heads import Transform
from lmkit.parts.layers import draw_weights


@attrs.frozen(kw_only=True)
class SpanConfig:
    """A token of the context, or the sequence's first token, is the answer's start, and its end."""

    attention: Literal["bidirectional", "causal"] = "bidirectional"
    """As the encoder was pre-trained: bidirectional for masked language models, causal for a GPT."""


@attrs.frozen(kw_only=True)
class Passage:
    """The tokens of an example among which an answer is sought, and the answer."""

    first: int
    """The first of them, not the sequence's own first token, which stands for "no answer"."""
    stop: int
    """The token after the last of them."""
    answer: tuple[int, int] | None = None
    """First and last token of the answer; None: there is none here."""


@attrs.frozen(eq=False, kw_only=True)
class SpanBatch(Batch):
    """Sequences, where an answer may lie in them, and where it does; L choices of the sequence that has most."""

    choices: Tensor
    """[S, L] indices into the batch's T tokens: a sequence's first token, then those of its context."""
    allowed: Tensor
    """[S, L] bool: False where a sequence has no more choices."""
    targets: Tensor
    """[S, 2] int64 which choice is the start, and which the end; 0 for no answer."""


class SpanHead(nn.Module):
    """Tokens' states -> how likely an answer starts and ends at each."""

    def __init__(self, encoder: Encoder, config: SpanConfig) -> None:
        super().__init__()
        self.attention: Attention = config.attention
        self.before = Transform(encoder, wanted=encoder.head_style.transform_always)
        self.dense = nn.Linear(encoder.width, 2)
        draw_weights(self, 0.02)

    def forward(self, hidden: Tensor, choices: Tensor, allowed: Tensor) -> Tensor:
        """[S, L, 2] log-probabilities of the choices [S, L] as start and as end, from `hidden` [T, width]."""
        scores: Tensor = (
            self.dense(self.before.transform(hidden)).float()[choices].masked_fill(~allowed[..., None], -torch.inf)
        )
        return scores.log_softmax(1)


class AnswerSpan(Objective[SpanBatch]):
    """Where an answer begins and ends; an example is one sequence, and its target a Passage."""

    name = "span"
    Config = SpanConfig
    head_kind = "span"
    attention: Attention = "bidirectional"

    def __init__(self, config: SpanConfig, vocabulary: Vocabulary) -> None:
        self.config = config
        self.attention = config.attention
        self._filler = vocabulary.special["pad"]

    @property
    def weights(self) -> Mapping[str, float]:
        return {"span": 1.0}

    def build_head(self, encoder: Encoder) -> SpanHead:
        return SpanHead(encoder, self.config)

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> SpanBatch:
        inputs, starts = pack(examples, attention=self.attention, filler=self._filler)
        passages = [_passage(example) for example in examples]
        choices, allowed = choices_of(starts, passages)
        return SpanBatch(
            inputs=inputs,
            counts={"span": len(examples)},
            tokens=sum(len(e.tokens) for e in examples),
            choices=choices,
            allowed=allowed,
            targets=torch.tensor([_target(passage) for passage in passages]),
        )

    def loss(self, encoder: Encoder, head: nn.Module, batch: SpanBatch) -> dict[str, Tensor]:
        """The cross entropy of the start and that of the end, added."""
        return {"span": _loss(head(encoder(batch.inputs), batch.choices, batch.allowed), batch.targets)}

    def measure(self, encoder: Encoder, head: nn.Module, batch: SpanBatch) -> dict[str, Tensor]:
        """The loss, and "span.accuracy": sequences whose likeliest start and end are both right."""
        scores = head(encoder(batch.inputs), batch.choices, batch.allowed)
        right = (scores.argmax(1) == batch.targets).all(1).float().sum()
        return {"span": _loss(scores, batch.targets), "span.accuracy": right}


def choices_of(starts: npt.NDArray[np.int64], passages: Sequence[Passage]) -> tuple[Tensor, Tensor]:
    """`choices` and `allowed` [S, L], as SpanBatch has them, of examples that start there in the batch."""
    room = 1 + max(passage.stop - passage.first for passage in passages)
    choices = np.zeros((len(passages), room), np.int64)
    allowed = np.zeros((len(passages), room), np.bool_)
    for row, (start, passage) in enumerate(zip(starts, passages, strict=True)):
        used = 1 + passage.stop - passage.first
        choices[row, 0], choices[row, 1:used] = start, start + np.arange(passage.first, passage.stop)
        allowed[row, :used] = True
    return torch.from_numpy(choices), torch.from_numpy(allowed)


def _loss(scores: Tensor, targets: Tensor) -> Tensor:
    return -scores.gather(1, targets[:, None]).sum()


def _target(passage: Passage) -> list[int]:
    return [0, 0] if passage.answer is None else [1 + token - passage.first for token in passage.answer]


def _passage(example: Example) -> Passage:
    passage = example.target
    if not isinstance(passage, Passage):
        raise DataError(f"example {example.key}: wanted a Passage as target, got {passage!r:.60}")
    if not 0 < passage.first < passage.stop <= len(example.tokens):
        raise DataError(f"example {example.key}: {passage} is not within its {len(example.tokens)} tokens")
    if passage.answer is not None:
        start, end = passage.answer
        if not passage.first <= start <= end < passage.stop:
            raise DataError(f"example {example.key}: the answer lies outside its {passage}")
    return passage
