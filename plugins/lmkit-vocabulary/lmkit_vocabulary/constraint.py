"""What of its words a growing sentence has: an automaton over tokens.

All forms of all words make one trie of token ids.  A word is met when one of its forms is whole and the next token
ends the word there; until then it can still become another one ("bow", "bowl").
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import attrs
import numpy.typing as npt


@attrs.define(eq=False)
class Node:
    """The tokens from the root to here begin a form."""

    children: dict[int, Node] = attrs.field(factory=dict)
    rest: dict[int, int] = attrs.field(factory=dict)
    """Word -> the fewest tokens that its forms still have from here; 0 where one is whole."""


@attrs.frozen
class State:
    """How far a sentence is."""

    met: frozenset[int]
    """Words that it has."""
    nodes: tuple[Node, ...] = ()
    """Where in the trie its last tokens lead to, from each place where a form may have begun."""
    whole: frozenset[int] = frozenset()
    """Words that it has if the next token ends a word."""


class Constraint:
    """Of words by number: `spellings[word]` are the token ids of its forms, each [n >= 1].

    `separates` [vocabulary] says which tokens end the word before them; the first token of every form does.
    """

    def __init__(self, spellings: Sequence[Collection[Sequence[int]]], separates: npt.NDArray[Any]) -> None:
        self._separates = separates
        self._root = Node()
        self.words = frozenset(range(len(spellings)))
        for word, ways in enumerate(spellings):
            for ids in ways:
                self._add(word, ids)

    def _add(self, word: int, ids: Sequence[int]) -> None:
        node = self._root
        for place, token in enumerate(ids):
            left = len(ids) - place
            node.rest[word] = min(node.rest.get(word, left), left)
            node = node.children.setdefault(token, Node())
        node.rest[word] = 0

    def start(self, met: Collection[int] = (), last: Collection[int] = ()) -> State:
        """A sentence without a token yet; what stands before it has the words `met`, and may end with those of `last`.

        Those are met as soon as a token comes that ends a word.
        """
        return State(frozenset(met), whole=frozenset(last) - frozenset(met))

    def step(self, state: State, token: int) -> State:
        """The state once `token` has come."""
        met = state.met | state.whole if state.whole and self._separates[token] else state.met
        nodes = tuple(n.children[token] for n in (self._root, *state.nodes) if token in n.children)
        if not nodes:
            return State(met)
        return State(met, nodes, frozenset(w for node in nodes for w, left in node.rest.items() if not left) - met)

    def advancing(self, state: State) -> set[int]:
        """Tokens that begin a form of a missing word or go on with one; where `missing` is above 0, one lowers it."""
        missing = self.words - state.met
        nodes = (self._root, *state.nodes)
        return {t for node in nodes for t, child in node.children.items() if not missing.isdisjoint(child.rest)}

    def missing(self, state: State) -> int:
        """Tokens that bring all words at the latest, the next of which ends a word if that is 0."""
        missing = self.words - state.met
        kept = missing - state.whole  # what a token is still spent on if the next one ends a word
        need = self._cost(kept) - self._spent(state, kept, separating=bool(state.whole))
        if state.whole:  # a form may also go on into a longer one, and what was whole be written once more
            need = min(need, self._cost(missing) - self._spent(state, missing, separating=False))
        return need

    def complete(self, state: State) -> bool:
        """Whether no word is missing if the next token ends a word."""
        return self.words == state.met | state.whole

    def _cost(self, words: Collection[int]) -> int:
        return sum(self._root.rest[word] for word in words)

    def _spent(self, state: State, missing: Collection[int], *, separating: bool) -> int:
        """The tokens that the form under way saves its word; with `separating` the next one has to end a word."""
        saved = [
            self._root.rest[word] - 1 - left
            for node in state.nodes
            for token, child in node.children.items()
            if not separating or self._separates[token]
            for word, left in child.rest.items()
            if word in missing
        ]
        return max([0, *saved])
