"""Windows: what is read at once of a row that is too long, and how many of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import attrs

from lmkit.batch import Example


@attrs.frozen(eq=False)
class Window:
    """Something that is read at once."""

    example: Example


Some = TypeVar("Some", bound=Window)


def batches(windows: Iterable[Some], batch_tokens: int) -> Iterator[list[Some]]:
    """As many windows at once as fit into `batch_tokens` when each takes the room of the longest, at least one."""
    some: list[Some] = []
    longest = 0
    for window in windows:
        size = len(window.example.tokens)
        longest = max(longest, size)
        if some and (len(some) + 1) * longest > batch_tokens:
            yield some
            some, longest = [], size
        some.append(window)
    if some:
        yield some
