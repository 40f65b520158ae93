"""How likely a model finds token sequences, with no training: by a head of next tokens, or by a head of masked ones.

Each answer depends on its own sequence alone.  Memory is that of `batch_tokens` tokens in the encoder and HEAD_AT_ONCE
rows of the vocabulary, however long or many the sequences are.  A sequence that is longer than the encoder reads is
read in windows: from left to right each begins where it repeats half a window of what came before, so that every token
has that much context; masked, each token stands in the middle of its own, or as near to it as the ends allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lmkit.batch import Attention, Example, pack
from lmkit.errors import FitError
from lmkit.interfaces import Encoder, Vocabulary
from lmkit.parts.heads import HEAD_AT_ONCE, VocabularyHead
from lmkit.parts.inference import exact_inference
from lmkit.parts.rows import batches

Ids = npt.NDArray[np.integer[Any]]
Mask = npt.NDArray[np.bool_]


@attrs.frozen
class Likelihood:
    """What a head says of a sequence's counted tokens."""

    sum: float
    """Of their log-probabilities, in nats."""
    greedy: bool
    """Whether each of them is the likeliest in its place."""


def judged(
    encoder: Encoder,
    head: nn.Module,
    vocabulary: Vocabulary,
    sequences: Sequence[Ids],
    counted: Sequence[Mask],
    *,
    batch_tokens: int,
) -> list[Likelihood]:
    """What the head can say of each sequence: a log-likelihood ("next-token") or pseudo-log-likelihood ("token").

    Arguments as for those two.  Raises FitError for a head that says of itself neither.
    """
    kind = head.kind if isinstance(head, VocabularyHead) else None
    if kind in ("next-token", "masked-next-token"):
        return _judged(encoder, head, vocabulary, _all_from_left(encoder, sequences, counted), batch_tokens)
    if kind == "token":
        questions = _all_masked(encoder, vocabulary, sequences, counted, within_words=True)
        return _judged(encoder, head, vocabulary, questions, batch_tokens)
    raise FitError(
        f"likelihoods need a VocabularyHead of kind next-token or token, got {type(head).__name__} of kind {kind}"
    )


def likelihoods(
    encoder: Encoder,
    head: nn.Module,
    vocabulary: Vocabulary,
    sequences: Sequence[Ids],
    counted: Sequence[Mask],
    *,
    batch_tokens: int,
) -> list[float]:
    """The sums of `judged`, in nats."""
    found = judged(encoder, head, vocabulary, sequences, counted, batch_tokens=batch_tokens)
    return [one.sum for one in found]


def log_likelihoods(
    encoder: Encoder,
    head: nn.Module,
    vocabulary: Vocabulary,
    sequences: Sequence[Ids],
    counted: Sequence[Mask],
    *,
    batch_tokens: int,
) -> list[float]:
    """Of each sequence the sum of log p(token | all before it) over its counted tokens, in nats.

    `sequences` are [n] ids each, `counted` [n] bool; nothing stands before a first token, so it never counts.
    `head` predicts next tokens.
    """
    questions = _all_from_left(encoder, sequences, counted)
    return [one.sum for one in _judged(encoder, head, vocabulary, questions, batch_tokens)]


def pseudo_log_likelihoods(
    encoder: Encoder,
    head: nn.Module,
    vocabulary: Vocabulary,
    sequences: Sequence[Ids],
    counted: Sequence[Mask],
    *,
    batch_tokens: int,
    within_words: bool = True,
) -> list[float]:
    """Of each sequence the sum of log p(token | all others) over its counted tokens, in nats, each masked in a copy.

    That is Salazar et al. 2020, "Masked Language Model Scoring", section 2.  With `within_words` what follows a token
    in its own word is masked along, as in Kauf & Ivanova 2023, "A Better Way to Do Masked Language Model Scoring":
    otherwise a rare word of many pieces looks likely, since each piece gives the others away.
    `sequences` and `counted` as in `log_likelihoods`; `head` predicts masked tokens.
    Raises FitError where the vocabulary has no mask.
    """
    questions = _all_masked(encoder, vocabulary, sequences, counted, within_words=within_words)
    return [one.sum for one in _judged(encoder, head, vocabulary, questions, batch_tokens)]


@attrs.frozen(kw_only=True)
class _Questions:
    """All that is asked of a head, and how it reads."""

    asked: Iterable[_Question]
    sequences: int
    attention: Attention


def _all_from_left(encoder: Encoder, sequences: Sequence[Ids], counted: Sequence[Mask]) -> _Questions:
    asked = (
        question
        for number, (ids, wanted) in enumerate(zip(sequences, counted, strict=True))
        for question in _from_left(number, ids, wanted, encoder.longest)
    )
    return _Questions(asked=asked, sequences=len(sequences), attention="causal")


def _all_masked(
    encoder: Encoder,
    vocabulary: Vocabulary,
    sequences: Sequence[Ids],
    counted: Sequence[Mask],
    *,
    within_words: bool,
) -> _Questions:
    if "mask" not in vocabulary.special:
        raise FitError("pseudo-log-likelihoods need a tokenizer with a mask token; this one has none")
    mask = vocabulary.special["mask"]
    asked = (
        question
        for number, (ids, wanted) in enumerate(zip(sequences, counted, strict=True))
        for question in _masked(
            number, ids, wanted, vocabulary.words(ids) if within_words else np.arange(len(ids)), mask, encoder.longest
        )
    )
    return _Questions(asked=asked, sequences=len(sequences), attention="bidirectional")


@attrs.frozen(eq=False)
class _Question:
    """Tokens that are read at once, and what is asked of their states."""

    sequence: int
    """Which sequence's sum the answers belong to."""
    tokens: Ids
    places: npt.NDArray[np.int64]
    """[m] whose states predict."""
    targets: Ids
    """[m] what they should."""


def _from_left(number: int, ids: Ids, counted: Mask, longest: int | None) -> Iterator[_Question]:
    room = max(2, longest or len(ids))
    start, done = 0, 1  # where the window begins, and the first token that no window has scored
    while done < len(ids):
        window = ids[start : start + room]
        places = np.flatnonzero(counted[done : start + len(window)]) + done - start
        if len(places):
            yield _Question(number, window, places - 1, window[places])
        done = start + len(window)
        start = min(done - room // 2, len(ids) - room)


def _masked(
    number: int, ids: Ids, counted: Mask, words: npt.NDArray[np.int64], mask: int, longest: int | None
) -> Iterator[_Question]:
    room = longest or len(ids)
    for place in np.flatnonzero(counted).tolist():
        start = max(0, min(place - room // 2, len(ids) - room))
        copy = ids[start : start + room].copy()
        here = place - start
        copy[here:][words[place : start + len(copy)] == words[place]] = mask
        yield _Question(number, copy, np.array([here]), ids[place : place + 1])


def _judged(
    encoder: Encoder, head: nn.Module, vocabulary: Vocabulary, questions: _Questions, batch_tokens: int
) -> list[Likelihood]:
    """What the answers of each sequence come to."""
    totals, greedy = np.zeros(questions.sequences), np.ones(questions.sequences, bool)
    embedding = encoder.token_embedding.weight
    for some in batches(questions.asked, lambda question: len(question.tokens), batch_tokens):
        examples = [Example(tokens=q.tokens, lengths=(len(q.tokens),)) for q in some]
        inputs, starts = pack(examples, attention=questions.attention, filler=vocabulary.special["pad"])
        places = np.concatenate([start + q.places for start, q in zip(starts, some, strict=True)])
        targets = torch.from_numpy(np.concatenate([q.targets for q in some]).astype(np.int64)).to(embedding.device)
        owners = np.repeat([q.sequence for q in some], [len(q.places) for q in some])
        found, best = [], []
        with exact_inference(encoder, head):
            hidden = encoder(inputs.to(embedding.device))[torch.from_numpy(places).to(embedding.device)]
            for at in range(0, len(targets), HEAD_AT_ONCE):
                chunk = slice(at, at + HEAD_AT_ONCE)
                scores = head(hidden[chunk], embedding).float().log_softmax(-1)  # [chunk, vocabulary]
                found.append(scores.gather(1, targets[chunk, None])[:, 0].double().cpu().numpy())
                best.append((scores.argmax(1) == targets[chunk]).cpu().numpy())
        np.add.at(totals, owners, np.concatenate(found))
        np.logical_and.at(greedy, owners, np.concatenate(best))
    return [Likelihood(total, likeliest) for total, likeliest in zip(totals.tolist(), greedy.tolist(), strict=True)]
