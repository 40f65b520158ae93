"""From examples to the micro-batches of each step, in this process or prepared ahead by data workers.

A step's batches are a pure function of its Plan, so it does not matter who makes them, nor when.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import attrs
import torch.utils.data
from torch.profiler import record_function

from lmkit.batch import Batch, Example
from lmkit.engine.distributed import Processes
from lmkit.engine.step import BATCH

Collate = Callable[[Sequence[Example], float | None], Batch]


class Source(Protocol):
    """Where a run's examples come from, in an order that is a function of the position alone."""

    def __len__(self) -> int:
        """Examples of one epoch."""

    def examples(self, position: int, count: int) -> list[Example]:
        """`count` examples from `position` on, counted from the start of the run over all epochs."""


@attrs.frozen(kw_only=True)
class Plan:
    """What one step is made of."""

    position: int
    """Examples before it."""
    count: int
    """Its examples, over all processes."""
    progress: float
    """Share of the budget spent before it."""


@attrs.frozen(kw_only=True)
class Feed:
    """Makes the micro-batches of a Plan for one process."""

    source: Source
    collate: Collate
    micro_examples: int
    processes: Processes

    def batches(self, plan: Plan) -> list[Batch]:
        """This process's micro-batches, each of at most `micro_examples` examples; every process has as many.

        A process that would have fewer gets one of no tokens, whose loss counts nothing.
        """
        with record_function(BATCH):
            examples = self.source.examples(plan.position, plan.count)
            mine, size = examples[self.processes.rank :: self.processes.world], self.micro_examples
            starts = range(0, math.ceil(plan.count / self.processes.world), size)
            return [
                self.collate(mine[i : i + size], plan.progress) if i < len(mine) else self._idle(examples[:size], plan)
                for i in starts
            ]

    def _idle(self, examples: Sequence[Example], plan: Plan) -> Batch:
        batch = self.collate(examples, plan.progress)
        return attrs.evolve(batch, counts=dict.fromkeys(batch.counts, 0), tokens=0)

    def run(self, plans: Iterable[Plan], workers: int) -> Iterator[tuple[Plan, list[Batch]]]:
        """Each plan with its batches, in order; `workers` processes work ahead, 0: this one makes them when asked."""
        if not workers:
            for plan in plans:
                yield plan, self.batches(plan)
            return
        loader = torch.utils.data.DataLoader(
            _Plans(self),
            batch_size=None,
            sampler=_Lazy(plans),
            num_workers=workers,
            multiprocessing_context="fork",  # the source's memory maps are shared, and nothing has to be pickled
        )
        yield from loader


class _Plans(torch.utils.data.Dataset[tuple[Plan, list[Batch]]]):
    """Looks like a map-style data set whose index is a Plan."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def __getitem__(self, plan: Plan) -> tuple[Plan, list[Batch]]:
        return plan, self._feed.batches(plan)


class _Lazy(torch.utils.data.Sampler[Plan]):
    """Plans are made as they are asked for: with a budget in minutes they depend on the clock."""

    def __init__(self, plans: Iterable[Plan]) -> None:
        self._plans = plans

    def __iter__(self) -> Iterator[Plan]:
        return iter(self._plans)
