from typing import Any

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmkit.batch import Example, Packed, pack

FILLER = 99


@st.composite
def examples(draw: st.DrawFn, longest: int = 24) -> list[Example]:
    """Examples of one to three sequences; with one capacity for all, as blocks have, or with none."""
    shapes = draw(st.lists(st.lists(st.integers(1, longest // 3), min_size=1, max_size=3), min_size=1, max_size=8))
    capacity = draw(st.sampled_from([0, longest, longest + 5]))
    segmented = draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return [
        Example(
            tokens=rng.integers(0, 50, sum(lengths)),
            lengths=tuple(lengths),
            segments=rng.integers(0, 2, sum(lengths)) if segmented and number % 2 == 0 else None,
            capacity=capacity,
        )
        for number, lengths in enumerate(shapes)
    ]


def sequences(given: list[Example]) -> list[np.ndarray]:
    return [part for e in given for part in np.split(e.tokens, np.cumsum(e.lengths)[:-1])]


def spans(packed: Packed) -> list[tuple[int, int]]:
    return [(int(a), int(b) + 1) for a, b in zip(packed.first, packed.last, strict=True)]


@given(examples())
@settings(max_examples=100, deadline=None)
def test_every_sequence_lies_whole_in_one_row_in_order(given: list[Example]) -> None:
    packed, starts = pack(given, attention="causal", filler=FILLER)
    assert len(starts) == len(given)
    assert [packed.tokens[a:b].tolist() for a, b in spans(packed)] == [s.tolist() for s in sequences(given)]
    for example, start in zip(given, starts, strict=True):
        assert packed.tokens[start : start + len(example.tokens)].tolist() == example.tokens.tolist()
    for a, b in spans(packed):
        assert a // packed.row_tokens == (b - 1) // packed.row_tokens
        assert packed.positions[a:b].tolist() == list(range(b - a))
        assert len(packed.documents[a:b].unique()) == 1


@given(examples())
@settings(max_examples=100, deadline=None)
def test_what_is_left_of_a_row_is_filler_of_its_own(given: list[Example]) -> None:
    packed, _ = pack(given, attention="causal", filler=FILLER)
    real = torch.zeros(packed.tokens.numel(), dtype=torch.bool)
    for a, b in spans(packed):
        assert not real[a:b].any(), "sequences overlap"
        real[a:b] = True
    assert real.sum() == sum(len(e.tokens) for e in given)
    assert (packed.tokens[~real] == FILLER).all()
    rows = torch.arange(packed.tokens.numel()) // packed.row_tokens
    for row in range(packed.rows):
        own = packed.documents[(rows == row) & real]
        filler = packed.documents[(rows == row) & ~real]
        assert not set(own.tolist()) & set(filler.tolist())
        assert len(own.unique()) == sum(a // packed.row_tokens == row for a, _ in spans(packed))


@given(examples())
@settings(max_examples=100, deadline=None)
def test_borders_positions_and_documents_tell_the_same(given: list[Example]) -> None:
    packed, starts = pack(given, attention="causal", filler=FILLER)
    total = packed.tokens.numel()
    real = torch.zeros(total, dtype=torch.bool)
    for example, start in zip(given, starts.tolist(), strict=True):
        real[start : start + len(example.tokens)] = True
    assert not packed.positions[~real].any(), "filler needs no positions, of which an encoder may have few"
    assert packed.cu_seqlens.dtype == torch.int32
    borders = packed.cu_seqlens.unique().tolist()
    assert packed.cu_seqlens.tolist() == borders + [total] * (len(packed.cu_seqlens) - len(borders))
    assert len(packed.cu_seqlens) & (len(packed.cu_seqlens) - 1) == 0, "a power of two"
    assert borders[0] == 0
    fills = ~real & torch.cat([torch.tensor([False]), ~real[:-1]]) & (torch.arange(total) % packed.row_tokens > 0)
    begins = (packed.positions == 0) & ~fills  # filler is one sequence a row
    assert borders == [*torch.nonzero(begins)[:, 0].tolist(), total]
    assert max(np.diff(borders)) <= packed.max_seqlen
    row_starts = packed.positions.view(-1, packed.row_tokens)[:, 0]
    assert (row_starts == 0).all()
    changes = packed.documents.view(-1, packed.row_tokens).diff(dim=1)
    begun = begins.view(-1, packed.row_tokens)[:, 1:]
    assert torch.equal(changes == 1, begun)
    assert torch.equal(changes == 0, ~begun)


@given(examples())
@settings(max_examples=60, deadline=None)
def test_rows_are_as_long_as_asked_or_as_the_longest_rounded_up_to_8(given: list[Example]) -> None:
    packed, starts = pack(given, attention="causal", filler=FILLER)
    if given[0].capacity:
        assert packed.row_tokens == given[0].capacity
        assert starts.tolist() == [i * given[0].capacity for i in range(len(given))], "a block fills its row alone"
    else:
        longest = max(len(e.tokens) for e in given)
        assert longest <= packed.row_tokens < longest + 8
        assert packed.row_tokens % 8 == 0
        used = np.bincount(starts // packed.row_tokens, weights=[len(e.tokens) for e in given])
        assert len(used) == 1 or min(used[:-1] + used[1:]) > packed.row_tokens, "two rows would have fitted in one"


@given(examples())
@settings(max_examples=60, deadline=None)
def test_segments_and_reach_lie_where_their_tokens_do(given: list[Example]) -> None:
    rng = np.random.default_rng(0)
    reach = [rng.integers(0, 9, len(e.tokens)) for e in given]
    packed, starts = pack(given, attention="mixed", filler=FILLER, reach=reach)
    assert (packed.segments is not None) == any(e.segments is not None for e in given)
    real = torch.zeros(packed.tokens.numel(), dtype=torch.bool)
    assert packed.reach is not None
    for example, start, its in zip(given, starts, reach, strict=True):
        where = slice(start, start + len(example.tokens))
        real[where] = True
        assert packed.reach[where].tolist() == its.tolist()
        if packed.segments is not None:
            wanted = [0] * len(example.tokens) if example.segments is None else example.segments.tolist()
            assert packed.segments[where].tolist() == wanted
    assert (packed.reach[~real] == packed.row_tokens).all()


@given(examples(), st.randoms())
def test_a_sequence_and_its_context_have_one_row_and_number(some: list[Example], random: Any) -> None:
    def like(example: Example) -> Example:
        """Another example of as many sequences."""
        lengths = tuple(random.randint(1, 12) for _ in example.lengths)
        return Example(tokens=np.arange(sum(lengths)), lengths=lengths, capacity=36 if example.capacity else 0)

    contexts = [like(example) for example in some]
    packed, starts = pack(some, attention="causal", filler=0, contexts=contexts)
    context = packed.context
    assert context is not None
    assert context.rows == packed.rows
    assert context.attention == "bidirectional"
    assert torch.equal(packed.first // packed.row_tokens, context.first // context.row_tokens)
    assert torch.equal(packed.documents[packed.first], context.documents[context.first])
    lengths = [n for example in contexts for n in example.lengths]
    assert (context.last - context.first + 1).tolist() == lengths
    assert starts.tolist() == packed.first[np.cumsum([0, *(len(e.lengths) for e in some[:-1])])].tolist()
    for side in (packed, context):  # no real sequence has the number of what fills its row
        real = np.zeros(len(side.tokens), bool)
        for first, last in zip(side.first.tolist(), side.last.tolist(), strict=True):
            real[first : last + 1] = True
        numbers = side.documents.view(side.rows, -1)
        for row in range(side.rows):
            mine = real.reshape(side.rows, -1)[row]
            assert set(numbers[row][mine].tolist()).isdisjoint(numbers[row][~mine].tolist())


def test_the_longest_come_first_and_short_ones_fill_their_gaps() -> None:
    given = [Example(tokens=np.full(n, n), lengths=(n,)) for n in (1, 5, 7, 8, 3)]
    packed, starts = pack(given, attention="bidirectional", filler=0)
    assert packed.tokens.view(-1, 8).tolist() == [
        [8, 8, 8, 8, 8, 8, 8, 8],
        [7, 7, 7, 7, 7, 7, 7, 1],
        [5, 5, 5, 5, 5, 3, 3, 3],
    ]
    assert starts.tolist() == [15, 16, 8, 0, 21]
    assert packed.first.tolist() == starts.tolist(), "sequences stay in the order of the examples"
    assert packed.documents.view(-1, 8)[1].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]


def test_a_moved_packed_keeps_its_context() -> None:
    inner, _ = pack([Example(tokens=np.arange(3), lengths=(3,))], attention="bidirectional", filler=0)
    outer, _ = pack([Example(tokens=np.arange(4), lengths=(4,))], attention="causal", filler=0)
    moved = attrs.evolve(outer, context=inner).to("meta")
    assert moved.tokens.device.type == "meta"
    assert moved.context is not None
    assert moved.context.tokens.device.type == "meta"
    assert moved.row_tokens == 8


def test_an_examples_randomness_comes_from_its_key_alone() -> None:
    def drawn(*key: int) -> float:
        return Example(tokens=np.zeros(1, int), lengths=(1,), key=key).rng().random()

    assert drawn(1, 0, 5) == drawn(1, 0, 5)
    assert len({drawn(1, 0, 5), drawn(1, 1, 5), drawn(1, 0, 6), drawn(2, 0, 5)}) == 4


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
def test_without_reach_there_is_none(attention: str) -> None:
    packed, _ = pack([Example(tokens=np.arange(3), lengths=(3,))], attention=attention, filler=0)  # type: ignore[arg-type]
    assert packed.reach is None
    assert packed.segments is None
