"""Answers by word overlap: the words beside the question's own, of about as many as such questions' answers have.

After the sliding window with distance of Richardson et al. 2013, "MCTest", section 4: nothing is learned but how often
words are, how long answers are by the question's first word, and three weights, chosen on validation rows.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

Row = dict[str, Any]
LONGEST = 6
"""Words of an answer at most."""
FREQUENT = 60
"""Words that say little, and neither begin nor end an answer if that can be helped."""
_WORD = re.compile(r"\w+")
_LENGTH, _EDGE, _NUMBER = (0.0, 0.3, 1.0, 3.0), (0.0, 1.0, 3.0), (0.0, 2.0, 5.0)
_NUMBERS = {("how", "many"), ("how", "much"), ("how", "old"), ("how", "long"), ("what", "year"), ("when",)}


@attrs.frozen
class Counts:
    """What the training rows say."""

    weight: Mapping[str, float]
    """Of a word: the rarer the heavier."""
    frequent: frozenset[str]
    length: Mapping[str, float]
    """Of answers, by the first word of their question: the median."""


def counts(train: Sequence[Row]) -> Counts:
    """Of the training rows."""
    contexts = {row["context"] for row in train}
    found = Counter(word for context in contexts for word in set(_words(context)))
    lengths: dict[str, list[int]] = defaultdict(list)
    for row in train:
        lengths[_words(row["question"])[0]].append(len(row["answers"][0]["text"].split()))
    return Counts(
        {word: math.log(len(contexts) / count) for word, count in found.items()},
        frozenset(word for word, _ in found.most_common(FREQUENT)),
        {first: float(np.median(some)) for first, some in lengths.items()},
    )


def spans(row: Row, known: Counts) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Every text that may be the answer, with [n, 4]: nearness to the question's words, and three faults."""
    asked, words = _words(row["question"]), row["context"].split(" ")
    content = {word for word in asked if word not in known.frequent}
    plain = ["".join(_words(word)) for word in words]
    common = math.log(1e4)
    weights = np.array([known.weight.get(word, common) if word in content else 0.0 for word in plain])
    wants_number = tuple(asked[:2]) in _NUMBERS or tuple(asked[:1]) in _NUMBERS
    usual = known.length.get(asked[0], 2.0) if asked else 2.0
    places = np.arange(len(words))
    texts, features = [], []
    for start in range(len(words)):
        for end in range(start + 1, min(start + LONGEST, len(words)) + 1):
            if weights[end - 1]:
                break  # an answer does not repeat the question
            distance = np.maximum(start - places, places - (end - 1))
            edges = float(sum(not word or word in known.frequent for word in (plain[start], plain[end - 1])))
            number = any(character.isdigit() for word in plain[start:end] for character in word)
            texts.append(" ".join(words[start:end]))
            near = float((weights / np.maximum(distance, 1)).sum())
            features.append((near, float(abs(end - start - usual)), edges, float(wants_number and not number)))
    return texts, np.array(features or [(0.0,) * 4])


def choose(rows: Sequence[Row], known: Counts, weights: Sequence[float]) -> list[str]:
    """The best span of each row; the first of those that are as good."""
    scale = np.array([1.0, *(-weight for weight in weights)])
    found = [spans(row, known) for row in rows]
    return [texts[int(np.argmax(features @ scale))] if texts else "" for texts, features in found]


def answers(
    train: Sequence[Row],
    validation: Sequence[Row],
    test: Sequence[Row],
    score: Callable[[Sequence[Row], Sequence[Row]], float],
) -> list[Row]:
    """To the test rows, with the weights whose answers to the validation rows have the highest `score`."""
    known = counts(train)
    found = [spans(row, known) for row in validation]

    def worth(weights: Sequence[float]) -> float:
        scale = np.array([1.0, *(-weight for weight in weights)])
        said = [{"answer": texts[int(np.argmax(some @ scale))] if texts else ""} for texts, some in found]
        return score(validation, said)

    best = max(itertools.product(_LENGTH, _EDGE, _NUMBER), key=worth)
    return [{"answer": text} for text in choose(test, known, best)]


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]
