import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkit.data.packing import best_fit_decreasing


def one_by_one(sizes: list[int], capacity: int) -> list[int]:
    """Best fit decreasing as the textbook has it: how full each block is, sorted."""
    blocks: list[list[int]] = []
    for size in sorted(sizes, reverse=True):
        fitting = [block for block in blocks if capacity - sum(block) >= size]
        if fitting:
            min(fitting, key=lambda block: capacity - sum(block)).append(size)
        else:
            blocks.append([size])
    return sorted(map(sum, blocks))


@given(st.data())
def test_it_packs_as_if_pieces_were_laid_one_by_one(data: st.DataObject) -> None:
    capacity = data.draw(st.integers(1, 40))
    sizes = data.draw(st.lists(st.integers(1, capacity), min_size=1, max_size=120))
    blocks = best_fit_decreasing(np.array(sizes), capacity)
    assert sorted(np.bincount(blocks, sizes).tolist()) == one_by_one(sizes, capacity)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=80))
def test_blocks_are_numbered_by_their_first_piece(sizes: list[int]) -> None:
    blocks = best_fit_decreasing(np.array(sizes), 30).tolist()
    assert list(dict.fromkeys(blocks)) == list(range(max(blocks) + 1))


@pytest.mark.parametrize(("mean", "capacity", "filler"), [(60, 128, 0.02), (60, 1024, 0.002), (300, 2048, 0.005)])
def test_little_is_left_empty(mean: int, capacity: int, filler: float) -> None:
    sizes = np.clip(np.random.default_rng(0).lognormal(np.log(mean), 0.8, 65_536).astype(int), 1, capacity)
    blocks = best_fit_decreasing(sizes, capacity)
    used = np.bincount(blocks, sizes)
    assert used.max() <= capacity
    assert 1 - sizes.sum() / (len(used) * capacity) < filler
