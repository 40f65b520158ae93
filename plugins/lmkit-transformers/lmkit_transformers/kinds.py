"""Kinds of heads: which Auto class of transformers has such a head, and how scores of both are laid side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from lmkit.batch import Example, Packed
from lmkit.interfaces import Trained


@attrs.frozen(kw_only=True, eq=False)
class Sample:
    """Sequences that both worlds read."""

    examples: Sequence[Example]
    """[S], each of one sequence; L tokens has the longest."""
    inputs: Packed
    """The same as a batch."""
    places: Tensor
    """[S, L] where in the batch's T tokens each sequence's own lie, those beyond its end at its last."""
    real: Tensor
    """[S, L] bool: False beyond a sequence's end."""


Score = Callable[[Trained, Sample], Tensor]


@attrs.frozen(kw_only=True)
class HeadKind:
    """A kind of head in both worlds."""

    auto: type[Any]
    """The class of transformers that loads such a model."""
    scores: Score
    """lmkit's [S, L, ...] scores of tokens, or [S, ...] of sequences."""
    made_by: tuple[str, str]
    """("objective" or "task", its name): whose head an import gives it."""
    theirs: Callable[[Any, Sample], Tensor] = lambda output, _: output.logits
    """The same of what a model of transformers returns."""
    of_tokens: bool = True
    needs_head: bool = True
    """Whether its weights have a place there; where not, hidden states are compared."""


def _hidden(model: Trained, sample: Sample) -> Tensor:
    hidden: Tensor = model.encoder(sample.inputs)
    return hidden[sample.places]


def _vocabulary(model: Trained, sample: Sample) -> Tensor:
    scores: Tensor = model.head(_hidden(model, sample), model.encoder.token_embedding.weight)
    return scores


def _tokens(model: Trained, sample: Sample) -> Tensor:
    scores: Tensor = model.head(_hidden(model, sample))
    return scores


def _states(model: Trained, sample: Sample) -> Tensor:
    scores: Tensor = model.head(model.encoder, sample.inputs)
    return scores


def _numbers(model: Trained, sample: Sample) -> Tensor:
    lowest, highest = range_of(model.head)
    return _states(model, sample) * (highest - lowest) + lowest


def _spans(model: Trained, sample: Sample) -> Tensor:
    """Log-probabilities of the start and of the end over a sequence."""
    scores: Tensor = model.head(model.encoder(sample.inputs), sample.places, sample.real)
    return scores


def _their_spans(output: Any, sample: Sample) -> Tensor:
    scores = torch.stack([output.start_logits, output.end_logits], -1)
    return scores.masked_fill(~sample.real[..., None], -torch.inf).log_softmax(1)


def range_of(head: nn.Module) -> tuple[float, float]:
    """What a head of numbers learns as 0 and as 1."""
    return getattr(head, "lowest", 0.0), getattr(head, "highest", 1.0)


KINDS: Mapping[str, HeadKind] = {
    "token": HeadKind(auto=AutoModelForMaskedLM, scores=_vocabulary, made_by=("objective", "mlm")),
    "next-token": HeadKind(auto=AutoModelForCausalLM, scores=_vocabulary, made_by=("objective", "clm")),
    "masked-next-token": HeadKind(auto=AutoModelForCausalLM, scores=_vocabulary, made_by=("objective", "clm")),
    "seq2seq": HeadKind(auto=AutoModelForSeq2SeqLM, scores=_vocabulary, made_by=("objective", "seq2seq")),
    "classify": HeadKind(
        auto=AutoModelForSequenceClassification,
        scores=_states,
        made_by=("task", "classification"),
        of_tokens=False,
    ),
    "regress": HeadKind(
        auto=AutoModelForSequenceClassification, scores=_numbers, made_by=("task", "regression"), of_tokens=False
    ),
    "tag": HeadKind(auto=AutoModelForTokenClassification, scores=_tokens, made_by=("task", "token-classification")),
    "span": HeadKind(
        auto=AutoModelForQuestionAnswering,
        scores=_spans,
        theirs=_their_spans,
        made_by=("task", "question-answering"),
    ),
    "choice": HeadKind(
        auto=AutoModelForMultipleChoice,
        scores=_states,
        theirs=lambda output, _: output.logits.reshape(-1, 1),
        made_by=("task", "multiple-choice"),
        of_tokens=False,
    ),
    "embedding": HeadKind(
        auto=AutoModel,
        scores=_hidden,
        theirs=lambda output, _: output.last_hidden_state,
        made_by=("task", "embedding"),
        needs_head=False,
    ),
    "replaced": HeadKind(
        auto=AutoModel,
        scores=_hidden,
        theirs=lambda output, _: output.last_hidden_state,
        made_by=("task", "embedding"),
        needs_head=False,
    ),
}
"""By lmkit's name; of "replaced", the discriminator is what is made to be fine-tuned, so its head stays behind."""
