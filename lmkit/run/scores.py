"""Scores: a task's metrics over rows that stream by, each with the interval that chance alone would give it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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

    def __init__(self, task: Task, *, labels: Sequence[str] = (), intervals: bool = True) -> None:
        """`labels` are those that the head knows; a gold one that is not among them is counted in `unknown`."""
        self._task = task
        self._labels = labels
        self._total: Counter[str] = Counter()
        self._rng = np.random.default_rng(0) if intervals else None
        self._resampled: dict[str, npt.NDArray[np.float64]] = {}
        self.rows = self.scored = self.unread = self.unknown = 0
        self.first_unread = self.first_unknown = ""

    def add(self, row: Row | Unread, answer: Any) -> None:
        """Count a row with its answer; raises DataError that says where the row is, if its gold answer is bad."""
        self.rows += 1
        place = getattr(row, "place", f"row {self.rows}")
        if isinstance(answer, Mapping) and answer.keys() == {"error"}:
            self.unread += 1
            self.first_unread = self.first_unread or answer["error"]
            return
        assert not isinstance(row, Unread)
        try:
            sums = self._task.tally(answer, row)
            unknown = [label for label in self._task.labels(row) if label not in self._labels] if sums else []
        except DataError as error:
            raise DataError(f"{place}: {error}") from None
        if not sums:
            return
        self.scored += 1
        if unknown and self._labels:
            self.unknown += 1
            known = ", ".join(self._labels)
            self.first_unknown = self.first_unknown or f'{place}: label "{unknown[0]}" is not among {known:.200}'
        self._total.update(sums)
        if self._rng is not None:
            times = self._rng.poisson(1.0, RESAMPLES)
            for name, value in sums.items():
                resampled = self._resampled.setdefault(name, np.zeros(RESAMPLES))
                if value:
                    resampled += times * value

    def metrics(self) -> dict[str, float]:
        """The task's metrics; raises DataError where no row has a gold answer."""
        if self.rows and self.unread == self.rows:
            raise DataError(f"none of {self.rows:,} rows could be read; the first: {self.first_unread}")
        if not self.scored:
            raise DataError(
                f"none of {self.rows} rows has the gold answer that task {self._task.name} scores: give rows with it"
            )
        if self.unknown == self.scored:
            raise DataError(f"no row has a label that the model knows; {self.first_unknown}")
        return dict(self._task.score(self._total))

    def intervals(self) -> dict[str, list[float]]:
        """For each metric the two values between which 95 % of the resamples lie; none where they are all alike."""
        found: dict[str, list[float]] = {}
        for i in range(RESAMPLES):
            for name, value in self._task.score({n: sums[i] for n, sums in self._resampled.items()}).items():
                found.setdefault(name, []).append(value)
        levels = {name: np.percentile(values, _LEVELS).tolist() for name, values in found.items()}
        return {name: [low, high] for name, (low, high) in levels.items() if low != high}


def scored(
    task: Task,
    rows: Iterable[Row | Unread],
    answers: Iterable[Any],
    *,
    labels: Sequence[str] = (),
    intervals: bool = True,
) -> Scores:
    """The scores of `answers`, one for each of `rows`; `labels` as for Scores."""
    scores = Scores(task, labels=labels, intervals=intervals)
    for row, answer in zip(rows, answers, strict=True):
        scores.add(row, answer)
    return scores
