"""The 5-gram rival is a real one: its probabilities sum to one, and it is what counting by hand gives."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.ngram import bits, count


def test_probabilities_of_all_next_tokens_sum_to_one():
    tokens = np.random.default_rng(0).integers(0, 6, 400)
    orders = count(tokens, 4, 6)
    for start in (10, 57, 200):
        context = tokens[start : start + 3]
        alone = bits(orders, context, 6)
        total = sum(2 ** -(bits(orders, np.append(context, token), 6) - alone) for token in range(6))
        assert total == pytest.approx(1.0, abs=1e-9)


def test_a_repeated_text_becomes_cheap_and_an_unseen_one_does_not():
    tokens = np.tile(np.arange(20), 50)
    orders = count(tokens, 5, 40)
    assert bits(orders, tokens[:200], 40) / 200 < 0.5
    assert bits(orders, np.random.default_rng(1).integers(0, 40, 200), 40) / 200 > 4
