"""Spelling: the known name that a mistyped one is nearest to. One rule for config keys, components and hooks."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence that suggests the nearest of `known`, with a space before it; empty where none is near.

    Of two equally near that which has the same letters: "cml" is "clm", and not "mlm".
    """
    near = difflib.get_close_matches(word, list(known), n=5)
    if not near:
        return ""
    best = difflib.SequenceMatcher(None, near[0], word).ratio()
    equal = [name for name in near if difflib.SequenceMatcher(None, name, word).ratio() == best]
    return f' Did you mean "{min(equal, key=lambda name: sorted(name) != sorted(word))}"?'
