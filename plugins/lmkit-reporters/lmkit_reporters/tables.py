"""Csv: steps.csv and validations.csv in the run's folder, for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lmkit_reporters.numbers import numbers_of


class Csv:
    """A row a step and a row a validation; the first row of a file names its columns."""

    only_where_named: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._columns: dict[str, list[str]] = {}

    def __call__(self, event: Any) -> None:
        numbers = numbers_of(event)
        if numbers:
            self._write("steps" if "train/loss" in numbers else "validations", event.step, numbers)

    def _write(self, name: str, step: int, numbers: Mapping[str, float]) -> None:
        file = self._folder / f"{name}.csv"
        new = not file.exists()
        if name not in self._columns:
            self._columns[name] = ["step", *numbers] if new else _columns(file)
        with file.open("a", newline="", encoding="utf-8") as opened:
            writer = csv.DictWriter(opened, self._columns[name], extrasaction="ignore", restval="")
            if new:
                writer.writeheader()
            writer.writerow({"step": step, **numbers})


def _columns(file: Path) -> list[str]:
    with file.open(newline="", encoding="utf-8") as opened:
        return next(csv.reader(opened))
