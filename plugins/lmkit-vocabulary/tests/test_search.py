"""The search's own parts: noise that keeps its promise, and n-grams that come once."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from lmkit_vocabulary.search import conditioned, repeating
from lmkit_vocabulary.token_kinds import token_kinds

from lmkit.testing.reference import ByteTokenizer


@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 4))
def test_what_repeats_is_what_would_make_an_n_gram_a_second_time(tokens: list[int], size: int) -> None:
    seen = {tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1)}
    expected = {token for token in range(4) if (*tokens[len(tokens) - size + 1 :], token) in seen}
    assert set(repeating(tokens, size)) == expected
    assert repeating(tokens, 0) == []


def test_the_greatest_of_conditioned_gumbels_is_the_parent_and_order_stays() -> None:
    generator = torch.Generator().manual_seed(1)
    free = torch.randn(50, 20, generator=generator)
    parents = torch.randn(50, generator=generator)
    found = conditioned(free, parents)
    assert torch.allclose(found.amax(-1), parents)
    assert torch.equal(found.argsort(-1), free.argsort(-1))
    barred = conditioned(torch.tensor([[0.5, -torch.inf, 2.0]]), torch.tensor([1.0]))
    assert barred[0, 1] == -torch.inf


def test_draws_down_a_tree_are_a_sample_without_replacement() -> None:
    """Two levels: the share of each leaf among first places is its probability."""
    rounds = 20_000
    generator = torch.Generator().manual_seed(1)
    first = torch.tensor([0.6, 0.4]).log()
    second = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log()

    def noise(*shape: int) -> torch.Tensor:
        return -torch.empty(shape).exponential_(generator=generator).log()

    above = conditioned(first + noise(rounds, 2), torch.zeros(rounds))
    below = [conditioned(first[i] + second[i] + noise(rounds, 2), above[:, i]) for i in range(2)]
    shares = torch.bincount(torch.cat(below, dim=1).argmax(-1), minlength=4) / rounds
    assert torch.allclose(shares, torch.tensor([0.3, 0.3, 0.36, 0.04]), atol=0.02)


def test_kinds_of_tokens() -> None:
    tokenizer = ByteTokenizer(ByteTokenizer.Config())
    kinds = token_kinds(tokenizer)

    def ids(text: str) -> list[int]:
        return tokenizer.encode(text).ids.tolist()

    assert kinds.separates[ids(" ,.'-")].all()
    assert not kinds.separates[ids("aZ9_")].any()
    assert kinds.plain[ids("aZ ,.")].all()
    assert not kinds.plain[[*ids("\n\x00é"), *tokenizer.vocabulary.special_ids()]].any()
    assert set(kinds.closers) == {tokenizer.vocabulary.special["eos"], *ids(".!?")}
    assert np.flatnonzero(kinds.begins).size
    assert not kinds.begins[ids("a")].any()
