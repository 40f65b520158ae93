"""Csv: steps.csv and validations.csv in the run's folder, for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs

_STEP = ("tokens", "seconds", "loss", "grad_norm", "learning_rate", "tokens_per_second", "model_flops_utilization")


class Csv:
    """A row a step and a row a validation; the first row of a file names its columns."""

    only_where_named: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, event: Any) -> None:
        said = attrs.asdict(event)
        if "grad_norm" in said:
            self._write("steps", {"step": event.step, **{name: said[name] for name in _STEP}, **said["terms"]})
        elif "terms" in said and "name" in said:
            self._write("validations", {"step": event.step, "set": said["name"], "loss": said["loss"], **said["terms"]})

    def _write(self, name: str, row: Mapping[str, Any]) -> None:
        file = self._folder / f"{name}.csv"
        new = not file.exists()
        columns = list(row) if new else _columns(file)
        with file.open("a", newline="", encoding="utf-8") as opened:
            writer = csv.DictWriter(opened, columns, extrasaction="ignore", restval="")
            if new:
                writer.writeheader()
            writer.writerow(row)


def _columns(file: Path) -> list[str]:
    with file.open(newline="", encoding="utf-8") as opened:
        return next(csv.reader(opened))
