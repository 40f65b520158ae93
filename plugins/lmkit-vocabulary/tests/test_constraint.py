"""The automaton against a plain reading of the same tokens: what is met, and that the words always fit."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from lmkit_vocabulary.constraint import Constraint

TOKENS = 6
SEPARATES = np.array([True, True, True, False, False, False])
"""Tokens 0, 1 and 2 begin a word, 3, 4 and 5 go on with one."""

form = st.tuples(st.integers(0, 2), st.lists(st.integers(0, 5), max_size=3)).map(lambda parts: (parts[0], *parts[1]))
spellings = st.lists(st.lists(form, min_size=1, max_size=3), min_size=1, max_size=4)
tokens = st.lists(st.integers(0, TOKENS - 1), max_size=12)


def read(ways: list[list[tuple[int, ...]]], ids: list[int]) -> tuple[set[int], set[int]]:
    """Words with a form that a word's end follows, and those with one at the very end."""
    met, whole = set(), set()
    for word, forms in enumerate(ways):
        for one in forms:
            for stop in range(len(one), len(ids) + 1):
                if tuple(ids[stop - len(one) : stop]) == one:
                    if stop == len(ids):
                        whole.add(word)
                    elif SEPARATES[ids[stop]]:
                        met.add(word)
    return met, whole - met


@given(spellings, tokens)
def test_it_meets_what_a_plain_reading_finds(ways: list[list[tuple[int, ...]]], ids: list[int]) -> None:
    constraint = Constraint(ways, SEPARATES)
    state = constraint.start()
    for token in ids:
        state = constraint.step(state, token)
    met, whole = read(ways, ids)
    assert (state.met, state.whole) == (met, whole)
    assert constraint.complete(state) == (met | whole == set(range(len(ways))))
    assert (constraint.missing(state) == 0) == constraint.complete(state)


@given(spellings, tokens)
def test_from_anywhere_the_missing_tokens_bring_all_words(ways: list[list[tuple[int, ...]]], ids: list[int]) -> None:
    constraint = Constraint(ways, SEPARATES)
    state = constraint.start()
    assert constraint.missing(state) == sum(min(map(len, forms)) for forms in ways)
    for token in ids:
        state = constraint.step(state, token)
    while left := constraint.missing(state):
        state = min((constraint.step(state, t) for t in sorted(constraint.advancing(state))), key=constraint.missing)
        assert constraint.missing(state) < left
    assert constraint.step(state, 0).met == constraint.words


def test_a_word_that_goes_on_is_another_word() -> None:
    constraint = Constraint([[(0, 3)], [(0, 3, 4)]], SEPARATES)
    state = constraint.step(constraint.step(constraint.start(), 0), 3)
    assert state.whole == {0}
    assert constraint.step(state, 5).met == set()
    assert constraint.step(state, 1).met == {0}
    longer = constraint.step(state, 4)
    assert (longer.met, longer.whole) == (set(), {1})


def test_words_that_stand_before_the_sentence_are_not_asked_for() -> None:
    constraint = Constraint([[(0,)], [(1,)]], SEPARATES)
    state = constraint.start(met=[0])
    assert constraint.missing(state) == 1
    assert constraint.advancing(state) == {1}
