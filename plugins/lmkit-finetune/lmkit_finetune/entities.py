"""Entities as spans of words and as tags: IOB1, BIO, BIOES and BILOU are read, BIO is written (Ramshaw, Marcus 1995).

No scheme has to be named.  An entity begins at B-, S- or U-, and at I-, E- or L- where none of its type is open.  It
ends after E-, L-, S- or U-, and wherever the next word does not go on with it: as conlleval reads tags.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

OUTSIDE = "O"
"""The tag of a word that belongs to no entity."""
BEGIN, INSIDE = "B-", "I-"

_BEGINS, _ENDS, _KNOWN = frozenset("BSU"), frozenset("ELSU"), frozenset("BIELSU")


@attrs.frozen(order=True)
class Span:
    """An entity: words `start` to `end` - 1."""

    start: int
    end: int
    type: str


def split_tag(tag: str) -> tuple[str, str]:
    """Prefix and type of a tag, both "" for O; raises ValueError for what is no tag of an entity."""
    if tag == OUTSIDE:
        return "", ""
    prefix, dash, kind = tag.partition("-")
    if prefix not in _KNOWN or not dash or not kind:
        raise ValueError(f'wanted O, or one of B- I- E- S- L- U- and a type, got "{tag:.40}"')
    return prefix, kind


def is_tag(text: str) -> bool:
    """Whether `text` is O, or a prefix and a type."""
    try:
        split_tag(text)
    except ValueError:
        return False
    return True


def spans_of(tags: Sequence[str]) -> list[Span]:
    """The entities of one sentence's tags, in order; raises ValueError as `split_tag` does."""
    found: list[Span] = []
    start, open_type = 0, ""  # of the entity that the next word may go on with
    for place, tag in enumerate(tags):
        prefix, kind = split_tag(tag)
        goes_on = kind == open_type and prefix not in _BEGINS
        if open_type and not goes_on:
            found.append(Span(start, place, open_type))
        if not goes_on:
            start, open_type = place, kind
        if prefix in _ENDS:
            found.append(Span(start, place + 1, kind))
            open_type = ""
    if open_type:
        found.append(Span(start, len(tags), open_type))
    return found


def bio(spans: Sequence[Span], words: int) -> list[str]:
    """The BIO tags of so many words with these entities."""
    tags = [OUTSIDE] * words
    for span in spans:
        tags[span.start : span.end] = [BEGIN + span.type] + [INSIDE + span.type] * (span.end - span.start - 1)
    return tags


def bio_labels(types: Sequence[str]) -> tuple[str, ...]:
    """All BIO tags of entities of these types, O first."""
    return (OUTSIDE, *(prefix + kind for kind in types for prefix in (BEGIN, INSIDE)))


def may_follow(labels: Sequence[str]) -> npt.NDArray[np.bool_]:
    """[labels + 1, labels] whether the second may come after the first in BIO; the last row is a sentence's start."""
    allowed = np.ones((len(labels) + 1, len(labels)), np.bool_)
    for column, label in enumerate(labels):
        if label.startswith(INSIDE):
            kind = label.removeprefix(INSIDE)
            allowed[:, column] = [before in (BEGIN + kind, INSIDE + kind) for before in (*labels, OUTSIDE)]
    return allowed


def best_path(scores: npt.NDArray[np.floating], allowed: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.int64]:
    """[words] the labels whose `scores` [words, labels] sum highest among the `allowed` sequences (Viterbi 1967).

    `allowed` is as `may_follow` gives it; None: all sequences are.
    """
    path: npt.NDArray[np.int64] = scores.argmax(1)
    if allowed is None or not len(scores):
        return path
    barred = np.where(allowed, 0.0, -np.inf)
    before = np.zeros(scores.shape, np.int64)  # the best label of the word before, for each label of a word
    total = barred[-1] + scores[0]
    for place in range(1, len(scores)):
        ways = total[:, None] + barred[:-1]
        before[place] = ways.argmax(0)
        total = ways.max(0) + scores[place]
    path[-1] = total.argmax()
    for place in range(len(scores) - 1, 0, -1):
        path[place - 1] = before[place, path[place]]
    return path
