from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmkit.batch import Example
from lmkit.data.blocks import Blocks
from lmkit.data.stream import Ordered, Stream
from lmkit.errors import DataError
from tests.data.conftest import make_store

BLOCK_TOKENS = 16


@pytest.fixture
def sources() -> list[Blocks]:
    """Two sources of 40 and 13 blocks; each block's tokens tell which it is."""
    texts = [[chr(33 + i) * 15 for i in range(40)], [chr(161 + i) * 7 for i in range(13)]]
    return [Blocks(make_store(group, f"source-{n}"), BLOCK_TOKENS) for n, group in enumerate(texts)]


def same(one: list[Example], other: list[Example]) -> bool:
    assert len(one) == len(other)
    return all(
        a.key == b.key and a.lengths == b.lengths and np.array_equal(a.tokens, b.tokens)
        for a, b in zip(one, other, strict=True)
    )


def names(examples: list[Example]) -> list[tuple[int, ...]]:
    return [tuple(example.tokens.tolist()) for example in examples]


def test_an_epoch_has_every_block_once_and_the_next_another_order(sources: list[Blocks]) -> None:
    stream = Stream(sources, [1, 1], seed=7)
    assert [len(blocks) for blocks in sources] == [40, 13]
    assert len(stream) == 53
    first, second = (names(stream.examples(epoch * 53, 53)) for epoch in (0, 1))
    assert len(set(first)) == 53
    assert sorted(first) == sorted(second)
    assert first != second
    assert names(Stream(sources, [1, 1], seed=8).examples(0, 53)) != first


def test_weights_are_repetitions_an_epoch(sources: list[Blocks]) -> None:
    stream = Stream(sources, [0.25, 2.5], seed=7)
    assert len(stream) == 10 + 32
    epochs = [Counter(names(stream.examples(epoch * 42, 42))) for epoch in range(30)]
    for counts in epochs:
        assert sorted(counts.values()) == [1] * 10 + [2] * 7 + [3] * 6
    assert len(sum(epochs, Counter())) == 53, "the parts of an epoch are always the same ones"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 500), counts=st.lists(st.integers(0, 90), min_size=1, max_size=5))
def test_examples_do_not_depend_on_how_one_came_to_a_position(
    sources: list[Blocks], position: int, counts: list[int]
) -> None:
    stream = Stream(sources, [1.5, 1], seed=3)
    parts = [stream.examples(position + sum(counts[:i]), count) for i, count in enumerate(counts)]
    whole = Stream(sources, [1.5, 1], seed=3).examples(position, sum(counts))
    assert same([example for part in parts for example in part], whole)


def test_keys_are_unique_and_say_seed_epoch_and_place(sources: list[Blocks]) -> None:
    examples = Stream(sources, [2, 2], seed=7).examples(50, 200)
    assert [example.key for example in examples] == [(7, p // 106, p % 106) for p in range(50, 250)]
    assert {example.capacity for example in examples} == {BLOCK_TOKENS}


def test_weights_that_leave_nothing_are_refused(sources: list[Blocks]) -> None:
    with pytest.raises(DataError) as error:
        Stream(sources, [0.001, 0.001], seed=1)
    assert str(error.value) == "the weights of [data] train leave no block in an epoch. Raise them"


def test_validation_goes_through_all_blocks_in_order(sources: list[Blocks]) -> None:
    ordered = Ordered(sources[1])
    assert len(ordered) == 13
    assert same(list(ordered), ordered[:])
    assert same(ordered[2:5], [ordered[2], ordered[3], ordered[-9]])
    assert [example.key for example in ordered] == [(0, 0, i) for i in range(13)]
    assert names(list(ordered)) == [tuple(sources[1].block(i)[0].tolist()) for i in range(13)]
    with pytest.raises(IndexError, match="block 13 of 13"):
        ordered[13]
