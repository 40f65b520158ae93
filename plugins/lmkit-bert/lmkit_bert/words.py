"""Words of several pieces where a text has one mask: each number of masks is tried, filled from left to right.

A piece is predicted while the ones after it are still masks, so a word's probability is the product of its pieces'
(Salazar et al. 2020, section 2, score whole sentences so).  Nothing in a masked model says how many pieces a word has:
words of different lengths are ranked by that product as it is, so a longer one must be surer in each piece.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lmkit.batch import Example, pack
from lmkit.interfaces import Encoder, Vocabulary
from lmkit.parts.heads import HEAD_AT_ONCE, VocabularyHead
from lmkit.parts.inference import exact_inference


@attrs.frozen(eq=False)
class Hole:
    """A sequence with a mask that one word is to fill."""

    tokens: npt.NDArray[np.int64]
    place: int


@attrs.frozen
class Word:
    """What may fill it."""

    ids: tuple[int, ...]
    log_probability: float


@attrs.frozen(eq=False)
class _Beam:
    hole: int
    tokens: npt.NDArray[np.int64]  # with as many masks as the word is to have pieces
    word: Word


class WordFiller:
    """Fills holes with words of up to `pieces` tokens, keeping the `width` likeliest beginnings."""

    def __init__(self, vocabulary: Vocabulary, *, pieces: int, width: int, batch_tokens: int) -> None:
        special = np.isin(np.arange(vocabulary.size), vocabulary.special_ids())
        self._begins = torch.from_numpy(vocabulary.word_starts & ~special)
        self._continues = torch.from_numpy(~vocabulary.word_starts & ~special)
        self._mask, self._filler = vocabulary.special["mask"], vocabulary.special["pad"]
        self._pieces, self._width, self._batch_tokens = pieces, width, batch_tokens

    def fill(self, encoder: Encoder, head: nn.Module, holes: Sequence[Hole]) -> list[list[Word]]:
        """The likeliest words of each hole, the likeliest first."""
        found: list[list[Word]] = [[] for _ in holes]
        for pieces in range(1, self._pieces + 1):
            masks = np.full(pieces, self._mask)
            beams = [
                _Beam(n, np.concatenate([h.tokens[: h.place], masks, h.tokens[h.place + 1 :]]), Word((), 0.0))
                for n, h in enumerate(holes)
            ]
            for piece in range(pieces):
                beams = self._step(encoder, head, beams, [hole.place + piece for hole in holes], first=piece == 0)
            for beam in beams:
                found[beam.hole].append(beam.word)
        return [sorted(words, key=lambda w: (-w.log_probability, w.ids))[: self._width] for words in found]

    def _step(
        self, encoder: Encoder, head: nn.Module, beams: Sequence[_Beam], places: Sequence[int], *, first: bool
    ) -> list[_Beam]:
        """Each hole's likeliest beginnings with one piece more; `places` [holes] says where it stands."""
        allowed = self._begins if first else self._continues
        longer: list[list[tuple[float, int, _Beam]]] = [[] for _ in places]
        longest = max((len(beam.tokens) for beam in beams), default=1)
        size = max(1, min(HEAD_AT_ONCE, self._batch_tokens // longest))
        for start in range(0, len(beams), size):
            some = beams[start : start + size]
            examples = [Example(tokens=b.tokens, lengths=(len(b.tokens),)) for b in some]
            inputs, starts = pack(examples, attention="bidirectional", filler=self._filler)
            embedding = encoder.token_embedding.weight
            shift = head.shift if isinstance(head, VocabularyHead) else 0
            at = torch.from_numpy(starts + np.array([places[b.hole] for b in some]) - shift).to(embedding.device)
            with exact_inference(encoder, head):
                scores = head(encoder(inputs.to(embedding.device))[at], embedding).float().log_softmax(-1).cpu()
            scores = scores.masked_fill(~allowed, -torch.inf)
            best = scores.topk(min(self._width, int(allowed.sum())))
            for beam, values, ids in zip(some, best.values.tolist(), best.indices.tolist(), strict=True):
                longer[beam.hole] += [
                    (beam.word.log_probability + v, i, beam) for v, i in zip(values, ids, strict=True)
                ]
        return [
            self._with(beam, places[beam.hole], number, log_probability)
            for candidates in longer
            for log_probability, number, beam in sorted(candidates, key=lambda c: (-c[0], c[2].word.ids, c[1]))[
                : self._width
            ]
        ]

    @staticmethod
    def _with(beam: _Beam, place: int, number: int, log_probability: float) -> _Beam:
        tokens = beam.tokens.copy()
        tokens[place] = number
        return _Beam(beam.hole, tokens, Word((*beam.word.ids, number), log_probability))
