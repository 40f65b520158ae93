"""An objective of texts that follow from another text: an encoder reads the one, a decoder predicts the other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from lmkit.batch import Example
from lmkit.interfaces import Vocabulary
from lmkit.parts.continuation import Continuation
from lmkit.parts.losses import LossConfig
from lmkit.parts.scored import ScoredBatch, rounded_up

Ids = npt.NDArray[np.int64]
ROUND = 32
"""Rows of answers are rounded up to so many tokens, so that compiled code sees few shapes."""


class Conditional(Continuation):
    """Predict each sequence's answer from the sequence; a subclass says what is read and what is answered."""

    head_kind = "seq2seq"
    needs_context = True

    def __init__(self, config: LossConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self._start = start_of(vocabulary)

    @abstractmethod
    def answers(self, example: Example, progress: float | None) -> list[tuple[Ids, Ids]]:
        """Of each of an example's sequences what the encoder reads, at least a token, and what the decoder predicts."""

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        pairs = [self.answers(example, progress) for example in examples]
        reads = [_joined([read for read, _ in some], e.capacity) for some, e in zip(pairs, examples, strict=True)]
        said = [_joined([np.append(self._start, answer) for _, answer in some], 0) for some in pairs]
        longest = max(len(example.tokens) for example in said)
        if any(example.capacity for example in examples):
            said = [attrs.evolve(example, capacity=rounded_up(longest, ROUND)) for example in said]
        return self.batch(said, contexts=reads)


def start_of(vocabulary: Vocabulary) -> int:
    """The token that a decoder begins with: T5's is the filler."""
    return vocabulary.special["pad"]


def _joined(sequences: Sequence[Ids], capacity: int) -> Example:
    lengths = tuple(len(sequence) for sequence in sequences)
    tokens = np.concatenate(sequences).astype(np.int64)
    return Example(tokens=tokens, lengths=lengths, capacity=max(capacity, len(tokens)) if capacity else 0)
