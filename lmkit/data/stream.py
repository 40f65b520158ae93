"""Stream: training examples in a seeded order whose whole state is one integer, the position in the run.

    position -> epoch, place in the epoch --Order--> slot --> source, pass, index --Order of the pass--> block

Nothing is stored and nothing is skipped over: resuming at any position costs what the first step costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np

from lmkit.batch import Example
from lmkit.data.blocks import Blocks
from lmkit.data.order import Order
from lmkit.errors import DataError


class Stream:
    """Blocks of one or more sources, each repeated `weights` times an epoch, in another order each epoch.

    With weight 2.5 every block of a source comes twice an epoch, and a half, another each epoch, once more.
    """

    def __init__(self, blocks: Sequence[Blocks], weights: Sequence[float], seed: int) -> None:
        self._blocks = blocks
        self._seed = seed
        self._upto = np.cumsum([round(len(b) * w) for b, w in zip(blocks, weights, strict=True)])
        if not self._upto[-1]:
            raise DataError("the weights of [data] train leave no block in an epoch. Raise them")

    def __len__(self) -> int:
        """Blocks of one epoch."""
        return int(self._upto[-1])

    def examples(self, position: int, count: int) -> list[Example]:
        """`count` examples from `position` on, in blocks since the start of the run, over the end of epochs."""
        examples: list[Example] = []
        while len(examples) < count:
            epoch, start = divmod(position + len(examples), len(self))
            stop = min(len(self), start + count - len(examples))
            examples += self._of_epoch(epoch, start, stop)
        return examples

    def _of_epoch(self, epoch: int, start: int, stop: int) -> list[Example]:
        places = np.arange(start, stop)
        slots = Order(len(self), (self._seed, epoch))(places)
        sources = np.searchsorted(self._upto, slots, side="right")
        indices = np.empty_like(slots)
        for source in np.unique(sources):
            mine = np.flatnonzero(sources == source)
            size = len(self._blocks[source])
            passes, within = np.divmod(slots[mine] - (self._upto[source - 1] if source else 0), size)
            for number in np.unique(passes):
                chosen = mine[passes == number]
                order = Order(size, (self._seed, epoch, int(source), int(number)))
                indices[chosen] = order(within[passes == number])
        return [
            _example(self._blocks[source], int(index), (self._seed, epoch, place))
            for place, source, index in zip(range(start, stop), sources, indices, strict=True)
        ]


class Ordered(Sequence[Example]):
    """All blocks once, in their order, with keys that never change: for validation."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks

    def __len__(self) -> int:
        return len(self._blocks)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"block {index} of {len(self)}")
        index %= len(self)
        return _example(self._blocks, index, (0, 0, index))


def _example(blocks: Blocks, index: int, key: tuple[int, ...]) -> Example:
    tokens, lengths = blocks.block(index)
    return Example(tokens=tokens, lengths=lengths, key=key, capacity=blocks.block_tokens)
