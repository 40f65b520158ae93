"""Scores: a task's metrics over rows that stream by, each with the interval that chance alone would give it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lmkit.data.rows import Unread
from lmkit.errors import DataError
from lmkit.interfaces import Task
from lmkit.interfaces.task import Row

RESAMPLES = 1000
"""Of the bootstrap."""
_LEVELS = (2.5, 97.5)


class Scores:
    """Sums a task's tallies; `intervals` also those of resampled rows.

    Each row is drawn as often as a Poisson variable of mean 1 says, apart for every resample (Hanley and MacGibbon
    2006, "Creating non-parametric bootstrap samples using Poisson frequencies"): nothing has to be kept of a row, so
    memory does not grow with their number. The draws follow from the rows' order alone.
    """

    def __init__(self, task: Task, *, intervals: bool = True) -> None:
        self._task = task
        self._total: Counter[str] = Counter()
        self._rng = np.random.default_rng(0) if intervals else None
        self._resampled: dict[str, npt.NDArray[np.float64]] = {}
        self.rows = self.scored = self.unread = 0

    def add(self, row: Row | Unread, answer: Any) -> None:
        """Count a row with its answer; raises DataError that says where the row is, if its gold answer is bad."""
        self.rows += 1
        if isinstance(answer, Mapping) and answer.keys() == {"error"}:
            self.unread += 1
            return
        assert not isinstance(row, Unread)
        try:
            sums = self._task.tally(answer, row)
        except DataError as error:
            raise DataError(f"{getattr(row, 'place', f'row {self.rows}')}: {error}") from None
        if not sums:
            return
        self.scored += 1
        self._total.update(sums)
        if self._rng is not None:
            times = self._rng.poisson(1.0, RESAMPLES)
            for name, value in sums.items():
                resampled = self._resampled.setdefault(name, np.zeros(RESAMPLES))
                if value:
                    resampled += times * value

    def metrics(self) -> dict[str, float]:
        """The task's metrics; raises DataError where no row has a gold answer."""
        if not self.scored:
            raise DataError(
                f"none of {self.rows} rows has the gold answer that task {self._task.name} scores: give rows with it"
            )
        return dict(self._task.score(self._total))

    def intervals(self) -> dict[str, list[float]]:
        """For each metric the two values between which 95 % of the resamples lie."""
        found: dict[str, list[float]] = {}
        for i in range(RESAMPLES):
            for name, value in self._task.score({n: sums[i] for n, sums in self._resampled.items()}).items():
                found.setdefault(name, []).append(value)
        return {name: [float(level) for level in np.percentile(values, _LEVELS)] for name, values in found.items()}


def scored(task: Task, rows: Iterable[Row | Unread], answers: Iterable[Any], *, intervals: bool = True) -> Scores:
    """The scores of `answers`, one for each of `rows`."""
    scores = Scores(task, intervals=intervals)
    for row, answer in zip(rows, answers, strict=True):
        scores.add(row, answer)
    return scores
