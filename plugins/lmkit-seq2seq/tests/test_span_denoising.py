"""A text's spans are predicted behind their marks: nothing of it is lost, and as much is hidden as the paper has it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lmkit_seq2seq.span_denoising import UL2, Denoiser, SpanDenoising, SpanDenoisingConfig, spans

from lmkit.batch import Example
from lmkit.errors import FitError
from lmkit.interfaces import Vocabulary

MARKS = {f"mark_{n}": 2 + n for n in range(12)}
VOCABULARY = Vocabulary(size=80, special={"pad": 0, "eos": 1, **MARKS}, word_starts=np.ones(80, bool))


def restored(read: list[int], said: list[int]) -> list[int]:
    """The text, by putting what is said behind each mark in its place."""
    assert said[-1] == 1
    places = [i for i, token in enumerate(said) if token in MARKS.values()]
    ends = [*places[1:], len(said) - 1]
    behind = {said[a]: said[a + 1 : b] for a, b in zip(places, ends, strict=False)}
    assert list(behind) == sorted(behind), "marks come in their order"
    return [token for t in read for token in (behind.pop(t) if t in behind else [t])]


@given(
    st.lists(st.integers(14, 79), min_size=1, max_size=60),
    st.booleans(),
    st.sampled_from(UL2),
    st.integers(0, 9),
)
def test_nothing_of_a_text_is_lost(text: list[int], ends: bool, kind: Denoiser, key: int) -> None:
    objective = SpanDenoising(SpanDenoisingConfig(mixture=(kind,)), VOCABULARY)
    tokens = np.array(text + [1] * ends)
    [(read, said)] = objective.answers(Example(tokens=tokens, lengths=(len(tokens),), key=(key,)), 0.5)
    assert restored(read.tolist(), said.tolist()) == tokens.tolist()
    if len(text) > 1:
        hidden = len(tokens) - sum(token not in MARKS.values() for token in read.tolist())
        assert hidden == min(max(round(len(text) * kind.rate), 1), len(text) - 1)


def test_spans_are_as_long_and_as_many_as_asked() -> None:
    """Raffel et al. 2020, section 3.1.4: 15 % in spans of 3 on average; each length and each place is drawn."""
    rng = np.random.default_rng(0)
    found = [spans(100, Denoiser(), 100, rng) for _ in range(2000)]
    assert {int(noise.sum()) for noise in found} == {15}
    assert {int((np.diff(noise.astype(int)) == 1).sum()) for noise in found} == {5}
    assert not any(noise[0] for noise in found)
    lengths = np.concatenate([np.diff(np.flatnonzero(np.diff(np.pad(noise, 1).astype(int))))[::2] for noise in found])
    assert lengths.mean() == 3
    assert lengths.max() > 9
    shares = np.mean(found, axis=0)[20:80]
    assert shares == pytest.approx(np.full(60, shares.mean()), abs=0.05)


def test_a_mixture_draws_each_kind_as_often() -> None:
    objective = SpanDenoising(SpanDenoisingConfig(mixture="ul2"), VOCABULARY)
    tokens = np.arange(14, 78)
    hidden = []
    for n in range(2100):
        [(read, _)] = objective.answers(Example(tokens=tokens, lengths=(64,), key=(1, n)), 0.5)
        hidden.append(64 - sum(token not in MARKS.values() for token in read.tolist()))
    counts = {share: hidden.count(round(64 * share)) for share in (0.15, 0.25, 0.5)}
    assert sum(counts.values()) == 2100
    assert counts[0.25] == pytest.approx(300, abs=65)
    assert counts[0.5] == pytest.approx(900, abs=90)


def test_sequences_and_their_contexts_belong_together() -> None:
    objective = SpanDenoising(SpanDenoisingConfig(), VOCABULARY)
    rng = np.random.default_rng(1)
    examples = [Example(tokens=rng.integers(14, 80, 30), lengths=(18, 12), capacity=32, key=(n,)) for n in range(6)]
    batch = objective.collate(examples, progress=0.1)
    context = batch.inputs.context
    assert context is not None
    assert context.row_tokens == 32
    assert len(context.first) == len(batch.inputs.first) == 12
    texts = [part for e in examples for part in np.split(e.tokens, [18])]
    weights, targets = batch.weights.numpy(), batch.targets.numpy()
    for number, text in enumerate(texts):
        read = context.tokens[context.first[number] : context.last[number] + 1].tolist()
        own = slice(int(batch.inputs.first[number]), int(batch.inputs.last[number]))
        assert weights[own].all()
        assert restored(read, targets[own].tolist()) == text.tolist()
    assert batch.counts["span-denoising"] == int(weights.sum())


def test_what_it_needs_is_told() -> None:
    plain = Vocabulary(size=80, special={"pad": 0, "eos": 1}, word_starts=np.ones(80, bool))
    with pytest.raises(FitError, match=r"mark_0, mark_1, .*marks = 100"):
        SpanDenoising(SpanDenoisingConfig(), plain)
    with pytest.raises(ValueError, match='expected "ul2" or a list of tables'):
        SpanDenoisingConfig(mixture="ul3")
