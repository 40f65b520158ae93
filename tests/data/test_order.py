import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkit.data.order import Order

KEYS = st.lists(st.integers(0, 2**64), min_size=1, max_size=4).map(tuple)


@given(size=st.integers(1, 3000), key=KEYS)
def test_an_order_is_a_permutation(size: int, key: tuple[int, ...]) -> None:
    assert sorted(Order(size, key)(np.arange(size)).tolist()) == list(range(size))


@given(size=st.integers(1, 2**50), key=KEYS, data=st.data())
def test_an_index_does_not_depend_on_what_is_asked_with_it(
    size: int, key: tuple[int, ...], data: st.DataObject
) -> None:
    positions = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=9, unique=True)))
    together = Order(size, key)(positions)
    assert together.tolist() == [int(Order(size, key)(positions[i : i + 1])[0]) for i in range(len(positions))]
    assert len(set(together.tolist())) == len(positions)
    assert 0 <= together.min() <= together.max() < size


def test_orders_of_different_keys_have_nothing_in_common() -> None:
    places = np.arange(10_000)
    orders = [Order(10_000, key)(places) for key in [(1, 0), (1, 1), (2, 0), (1, 0, 0)]]
    for i, one in enumerate(orders):
        assert abs(np.corrcoef(one, places)[0, 1]) < 0.04
        for other in orders[:i]:
            assert (one == other).mean() < 0.002
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.04


@pytest.mark.parametrize("size", [4, 5])
def test_every_permutation_of_a_few_is_about_as_likely(size: int) -> None:
    drawn = [tuple(Order(size, (seed,))(np.arange(size)).tolist()) for seed in range(2400)]
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    possible = {4: 24, 5: 120}[size]
    assert len(counts) > 0.9 * possible
    assert counts.max() < 6 * len(drawn) / possible


def test_an_order_is_the_same_on_every_machine() -> None:
    """These numbers may never change: runs resume by them."""
    assert Order(10, (1, 0))(np.arange(10)).tolist() == [1, 8, 6, 5, 3, 9, 4, 7, 2, 0]
