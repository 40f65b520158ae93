"""Likelihoods by both kinds of head: what they sum, what is masked, windows, company, and memory."""

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lmkit.batch import Example, Packed, pack
from lmkit.errors import FitError
from lmkit.interfaces import Encoder, Vocabulary
from lmkit.parts import scoring
from lmkit.parts.heads import VocabularyHead
from lmkit.parts.scoring import likelihoods, log_likelihoods, pseudo_log_likelihoods
from lmkit.testing.reference import ReferenceEncoder

SIZE, MASK = 40, 4
STARTS = np.arange(SIZE) % 3 != 0  # every third token goes on with a word
STARTS[:5] = True
VOCABULARY = Vocabulary(size=SIZE, special={"pad": 0, "mask": MASK}, word_starts=STARTS)


class Watched(ReferenceEncoder):
    """The reference, which remembers what it was given to read, and reads as many tokens as it is told."""

    limit = 512

    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.seen: list[Packed] = []

    @property
    def longest(self) -> int:
        return self.limit

    def forward(self, inputs: Packed) -> torch.Tensor:
        self.seen.append(inputs)
        return super().forward(inputs)

    def read(self) -> list[list[int]]:
        """The sequences that it was given, each as its tokens."""
        return [
            packed.tokens[first : last + 1].tolist()
            for packed in self.seen
            for first, last in zip(packed.first.tolist(), packed.last.tolist(), strict=True)
        ]


@pytest.fixture
def encoder() -> Iterator[Watched]:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        yield Watched(Watched.Config(width=16), VOCABULARY).eval()


def head_of(encoder: Encoder, kind: str | None) -> VocabularyHead:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        head = VocabularyHead(encoder, kind)
        for weight in head.parameters():
            nn.init.normal_(weight, std=0.5)
    return head


def sequences(lengths: list[int], seed: int = 0) -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(seed)
    ids = [rng.integers(5, SIZE, n) for n in lengths]
    return ids, [rng.random(n) < 0.7 for n in lengths]


def scores_of(encoder: Encoder, head: VocabularyHead, ids: Any) -> torch.Tensor:
    """[n, vocabulary] log-probabilities at each place of one sequence, read alone."""
    example = Example(tokens=np.asarray(ids), lengths=(len(ids),))
    with torch.no_grad():
        hidden = encoder(pack([example], attention=head.attention, filler=0)[0])[: len(ids)]
        scores: torch.Tensor = head(hidden, encoder.token_embedding.weight).log_softmax(-1)
        return scores


def test_a_log_likelihood_sums_each_counted_token_after_those_before_it(encoder: Watched) -> None:
    head = head_of(encoder, "next-token")
    ids, counted = sequences([9, 1, 14])
    found = log_likelihoods(encoder, head, VOCABULARY, ids, counted, batch_tokens=64)
    for tokens, wanted, value in zip(ids, counted, found, strict=True):
        scores = scores_of(encoder, head, tokens)
        expected = sum(float(scores[i - 1, tokens[i]]) for i in range(1, len(tokens)) if wanted[i])
        assert value == pytest.approx(expected, abs=1e-4)
    assert found[1] == 0


@pytest.mark.parametrize("within_words", [True, False])
def test_a_pseudo_log_likelihood_masks_each_counted_token_and_what_follows_in_its_word(
    encoder: Watched, within_words: bool
) -> None:
    head = head_of(encoder, "token")
    ids, counted = sequences([7, 12])
    found = pseudo_log_likelihoods(encoder, head, VOCABULARY, ids, counted, batch_tokens=64, within_words=within_words)
    for tokens, wanted, value in zip(ids, counted, found, strict=True):
        words, expected = VOCABULARY.words(tokens), 0.0
        for i in np.flatnonzero(wanted):
            copy = tokens.copy()
            copy[i] = MASK
            if within_words:
                copy[[j for j in range(i, len(tokens)) if words[j] == words[i]]] = MASK
            expected += float(scores_of(encoder, head, copy)[i, tokens[i]])
        assert value == pytest.approx(expected, abs=1e-4)


def test_the_left_part_of_a_word_stays_in_sight(encoder: Watched) -> None:
    ids = np.array([7, 9, 12, 8])  # 9 and 12 go on with the word that 7 begins
    pseudo_log_likelihoods(
        encoder, head_of(encoder, "token"), VOCABULARY, [ids], [np.array([0, 1, 0, 0], bool)], batch_tokens=64
    )
    assert encoder.read() == [[7, MASK, MASK, 8]]


@pytest.mark.parametrize("kind", ["token", "next-token"])
def test_company_and_batches_never_change_a_likelihood(encoder: Watched, kind: str) -> None:
    head = head_of(encoder, kind)
    ids, counted = sequences([5, 30, 2, 17, 9])
    alone = [
        likelihoods(encoder, head, VOCABULARY, [one], [wanted], batch_tokens=4096)[0]
        for one, wanted in zip(ids, counted, strict=True)
    ]
    for batch_tokens in (1, 40, 4096):
        encoder.seen.clear()
        found = likelihoods(encoder, head, VOCABULARY, ids, counted, batch_tokens=batch_tokens)
        assert found == pytest.approx(alone, abs=1e-4)
        assert all(len(p.first) == 1 or p.max_seqlen * len(p.first) <= batch_tokens + 8 * 8 for p in encoder.seen)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 60), longest=st.integers(2, 20), seed=st.integers(0, 9))
def test_windows_score_every_counted_token_once_with_half_a_window_before_it(
    length: int, longest: int, seed: int
) -> None:
    (ids,), (counted,) = sequences([length], seed)
    ids[:] = np.arange(length)  # so that a token says where it stood
    asked: list[int] = []
    for question in scoring._from_left(0, ids, counted, longest):
        assert len(question.tokens) <= longest
        asked += question.targets.tolist()
        assert (question.tokens[question.places + 1] == question.targets).all()
        first = question.tokens[0]
        assert first == 0 or (question.places + 1 >= longest // 2).all()
    assert asked == [i for i in range(1, length) if counted[i]]
    masked = list(scoring._masked(0, ids, counted, np.arange(length), -1, longest))
    assert [int(q.targets[0]) for q in masked] == np.flatnonzero(counted).tolist()
    for question in masked:
        assert len(question.tokens) == min(length, longest)
        assert np.flatnonzero(question.tokens == -1).tolist() == question.places.tolist()


@pytest.mark.parametrize("kind", ["token", "next-token"])
def test_what_is_longer_than_the_encoder_reads_is_read_in_windows(encoder: Watched, kind: str) -> None:
    ids, counted = sequences([50])
    head = head_of(encoder, kind)
    encoder.limit = 16
    (found,) = likelihoods(encoder, head, VOCABULARY, ids, counted, batch_tokens=64)
    assert np.isfinite(found)
    assert found < -counted[0].sum()
    assert max(map(len, encoder.read())) == 16


def test_the_vocabulary_is_never_scored_at_all_places_at_once(
    encoder: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = head_of(encoder, "next-token")
    ids, _ = sequences([300])
    counted = [np.ones(300, bool)]
    whole = likelihoods(encoder, head, VOCABULARY, ids, counted, batch_tokens=4096)
    sizes: list[int] = []
    head.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    monkeypatch.setattr(scoring, "HEAD_AT_ONCE", 64)
    assert likelihoods(encoder, head, VOCABULARY, ids, counted, batch_tokens=4096) == pytest.approx(whole, abs=1e-3)
    assert sizes == [64, 64, 64, 64, 43]


def test_a_head_that_predicts_no_tokens_is_refused(encoder: Watched) -> None:
    ids, counted = sequences([5])
    for head in (nn.Linear(16, 2), head_of(encoder, None)):
        with pytest.raises(FitError, match="a VocabularyHead of kind next-token or token"):
            likelihoods(encoder, head, VOCABULARY, ids, counted, batch_tokens=64)
    without = attrs.evolve(VOCABULARY, special={"pad": 0})
    with pytest.raises(FitError, match="a mask token"):
        likelihoods(encoder, head_of(encoder, "token"), without, ids, counted, batch_tokens=64)
