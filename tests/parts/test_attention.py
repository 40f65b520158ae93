import math
from typing import get_args

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmkit.batch import Attention, Example, Packed, pack
from lmkit.parts import attention
from lmkit.parts.attention import (
    KeyValueCache,
    attend,
    attention_bias,
    attention_mask,
    compute_dtype,
    merge_heads,
    split_heads,
)


def packed(lengths: list[int], kind: Attention, seed: int = 0) -> tuple[Packed, list[tuple[int, int, np.ndarray]]]:
    """A batch, and (first index, length, reach) of each of its sequences."""
    rng = np.random.default_rng(seed)
    examples = [Example(tokens=rng.integers(1, 9, n), lengths=(n,)) for n in lengths]
    reach = [np.maximum(np.arange(n), rng.integers(0, n)) for n in lengths]
    inputs, starts = pack(examples, attention=kind, filler=0, reach=reach if kind == "mixed" else None)
    seen = {"bidirectional": [np.full(n, n - 1) for n in lengths], "causal": [np.arange(n) for n in lengths]}
    return inputs, list(zip(starts.tolist(), lengths, seen.get(kind, reach), strict=True))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sampled_from(get_args(Attention)), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_token_sees_its_own_sequence_up_to_its_reach(lengths: list[int], kind: Attention, seed: int) -> None:
    inputs, sequences = packed(lengths, kind, seed)
    mask = attention_mask(inputs)
    length = inputs.row_tokens
    assert mask.shape == (inputs.rows, 1, length, length)
    assert mask.any(-1).all(), "a token that sees nothing has no softmax"
    for start, count, reach in sequences:
        row, at = divmod(start, length)
        for place in range(count):
            wanted = torch.zeros(length, dtype=torch.bool)
            wanted[at : at + int(reach[place]) + 1] = True
            assert torch.equal(mask[row, 0, at + place], wanted)
    real = torch.zeros(inputs.tokens.numel(), dtype=torch.bool)
    for start, count, _ in sequences:
        real[start : start + count] = True
    real = real.view(-1, length)
    assert not (mask[:, 0] & ~real[:, :, None] & real[:, None, :]).any(), "filler sees filler only"


def test_the_bias_is_nothing_where_seen_and_minus_infinity_elsewhere() -> None:
    inputs, _ = packed([3, 4], "causal")
    bias = attention_bias(inputs, torch.bfloat16)
    assert bias.dtype == torch.bfloat16
    assert torch.equal(bias == 0, attention_mask(inputs))
    assert torch.equal(bias == -math.inf, ~attention_mask(inputs))


@pytest.mark.parametrize("kind", get_args(Attention))
def test_both_kernels_give_the_states_of_the_definition(kind: Attention, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, _ = packed([5, 9, 3, 7, 1], kind)
    heads, size = 3, 8
    generator = torch.Generator().manual_seed(0)
    states = [torch.randn(inputs.tokens.numel(), heads * size, generator=generator) for _ in range(3)]
    mask = attention_mask(inputs)
    found, slopes = [], []
    for longest in (0, 10_000):
        monkeypatch.setattr(attention, "_PRODUCTS_UP_TO", {torch.float32: longest})
        leaves = [state.clone().requires_grad_() for state in states]
        query, key, value = (split_heads(leaf, heads, inputs.row_tokens) for leaf in leaves)
        out = attend(query, key, value, attention_bias(inputs, torch.float32))
        merge_heads(out).square().sum().backward()
        found.append(out)
        slopes.append([leaf.grad for leaf in leaves])
    query, key, value = (split_heads(state, heads, inputs.row_tokens).double() for state in states)
    scores = torch.einsum("rhqd,rhkd->rhqk", query, key) / size**0.5
    wanted = torch.softmax(scores.masked_fill(~mask, -math.inf), -1) @ value
    for out in found:
        torch.testing.assert_close(out.double(), wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(slopes[0], slopes[1], atol=1e-4, rtol=1e-4)


def test_dropout_drops_its_share_of_probabilities_and_scales_the_rest() -> None:
    query = torch.zeros(1, 1, 100, 4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        out = attend(query, query, torch.ones(1, 1, 100, 4), torch.zeros(1, 1, 100, 100), dropout=0.25)
    assert out.std() > 0
    assert out.mean().item() == pytest.approx(1, abs=0.03)


def test_heads_are_split_and_merged_back() -> None:
    states = torch.arange(48.0).view(4, 12)
    split = split_heads(states, 3, 2)
    assert split.shape == (2, 3, 2, 4)
    assert split[1, 2, 0].tolist() == states[2, 8:12].tolist()
    assert torch.equal(merge_heads(split), states)


def test_products_are_in_the_dtype_of_autocast() -> None:
    states = torch.zeros(2)
    assert compute_dtype(states) == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert compute_dtype(states) == torch.bfloat16


def filled_cache(lengths: list[int], capacity: int = 12) -> tuple[KeyValueCache, torch.Tensor]:
    """A cache that read one sequence a row; and the keys [T, 6] that it was given."""
    examples = [Example(tokens=np.ones(n, int), lengths=(n,), capacity=max(lengths)) for n in lengths]
    inputs, _ = pack(examples, attention="causal", filler=0)
    keys = torch.randn(inputs.tokens.numel(), 6, generator=torch.Generator().manual_seed(0))
    cache = KeyValueCache(1, len(lengths), 2, capacity, 3)
    split = split_heads(keys, 2, inputs.row_tokens)
    cache.extend(0, attrs.evolve(inputs, cache=cache), split, -split)
    return cache, keys.view(len(lengths), -1, 6)


def newest(cache: KeyValueCache, positions: list[int]) -> Packed:
    count = len(positions)
    each = torch.arange(count)
    return Packed(
        tokens=each,
        positions=torch.tensor(positions),
        documents=torch.zeros(count, dtype=torch.int64),
        cu_seqlens=torch.arange(count + 1, dtype=torch.int32),
        max_seqlen=1,
        row_tokens=1,
        first=each,
        last=each,
        attention="causal",
        cache=cache,
    )


def test_a_cache_keeps_each_key_at_its_position_and_no_filler() -> None:
    cache, given = filled_cache([3, 7, 5])
    inputs = newest(cache, [3, 7, 5])
    new = torch.full((3, 2, 1, 3), 9.0)
    keys, values = cache.extend(0, inputs, new, -new)
    assert keys.shape == (3, 2, 12, 3)
    for row, length in enumerate([3, 7, 5]):
        wanted = split_heads(given[row, :length], 2, length)[0]
        assert torch.equal(keys[row, :, :length], wanted)
        assert torch.equal(values[row, :, :length], -wanted)
        assert (keys[row, :, length] == 9).all()
        assert not keys[row, :, length + 1 :].any()
        assert attention_mask(inputs)[row, 0, 0].tolist() == [True] * (length + 1) + [False] * (11 - length)


def test_selected_rows_of_a_cache_are_its_own_copy() -> None:
    cache, _ = filled_cache([3, 7, 5])
    new = torch.ones(3, 2, 1, 3)
    before = cache.extend(0, newest(cache, [3, 7, 5]), new, new)[0].clone()
    chosen = cache.select(torch.tensor([2, 0, 0]))
    keys, _ = chosen.extend(0, newest(chosen, [6, 4, 4]), 5 * new, 5 * new)
    assert [keys[0, 0, 5, 0].item(), keys[0, 0, 6, 0].item(), keys[1, 0, 4, 0].item()] == [1, 5, 5]
    assert torch.equal(keys[0, :, :6], before[2, :, :6])
    assert torch.equal(keys[1, :, :4], before[0, :, :4])
    after = cache.extend(0, newest(cache, [3, 7, 5]), new, new)[0]
    assert torch.equal(after, before), "what a selected cache reads is not read by the first"


def test_an_empty_cache_can_be_selected_from() -> None:
    cache = KeyValueCache(1, 3, 2, 4, 3).select(torch.tensor([1]))
    new = torch.ones(1, 2, 1, 3)
    assert cache.extend(0, newest(cache, [0]), new, new)[0].shape == (1, 2, 4, 3)
