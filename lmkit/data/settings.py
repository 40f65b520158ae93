"""The [data] table: where text and rows come from, what a document is, what to do with bad input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import attrs
from attrs import validators

from lmkit.data.files import FileFormat


@attrs.frozen(kw_only=True)
class Source:
    """Files that belong together, and how often each of their blocks is seen in an epoch."""

    path: Path = attrs.field(converter=Path)
    """A file, a folder, or a pattern such as `books/**/*.md`."""
    weight: float = attrs.field(default=1.0, validator=[validators.gt(0), validators.le(1000)])
    """Repetitions an epoch; 2.5 reads it twice and half of it once more."""
    licence: str | None = None
    """Under which it is used, such as "public domain": told in reports and on model cards."""


def _paths_or_sources(given: Iterable[Source | Path | str]) -> tuple[Path | Source, ...]:
    return tuple(item if isinstance(item, Source) else Path(item) for item in given)


def _validation(
    given: float | Iterable[Path | str] | Mapping[str, Iterable[Path | str]],
) -> float | tuple[Path, ...] | dict[str, tuple[Path, ...]]:
    if isinstance(given, (int, float)):
        return float(given)
    if isinstance(given, Mapping):
        return {name: tuple(map(Path, paths)) for name, paths in given.items()}
    return tuple(map(Path, given))


def _some(_: object, __: object, value: tuple[object, ...]) -> None:
    if not value:
        raise ValueError("train: expected at least one path to learn from, got none")


def _share(_: object, __: object, value: object) -> None:
    if isinstance(value, float) and not 1e-6 <= value <= 1 - 1e-6:
        raise ValueError(f"validation: expected paths, or a share from 0.000001 to 0.999999, got {value}")


@attrs.frozen(kw_only=True)
class Data:
    """Where text and rows come from; a path is a file, a folder, a pattern, or a folder that `datasets` saved."""

    train: tuple[Path | Source, ...] = attrs.field(converter=_paths_or_sources, validator=_some)
    """Sources to learn from: paths, or tables of path and weight."""
    validation: float | tuple[Path, ...] | Mapping[str, tuple[Path, ...]] = attrs.field(
        default=(), converter=_validation, validator=_share
    )
    """Paths to validate on, several named sets of them, or the share of train's documents to hold out: whole ones; of
    files too few for that, the end of each."""
    document: Literal["file", "paragraph", "line"] = "file"
    """What a document is: nothing is attended to, or predicted, across its borders; of a table, each row is a file."""
    format: FileFormat = "text"
    """What files are whose suffix says nothing, such as .txt; the others are what .jsonl, .csv, .conll, ... say."""
    column: str = "text"
    """Column of .jsonl, .json, .csv, .tsv, .parquet and `datasets` rows that holds the text."""
    bad_input: Literal["stop", "skip"] = "stop"
    """Stop at the first line or row that cannot be read, or skip and count it."""
    longest_line_mb: float = attrs.field(default=10.0, validator=[validators.gt(0), validators.le(100_000)])
    """A longer line is bad input; memory grows with it."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """Sources to learn from, each with its weight."""
        return tuple(item if isinstance(item, Source) else Source(path=item) for item in self.train)

    @property
    def validation_sets(self) -> dict[str, tuple[Path, ...]]:
        """Named sets of paths; empty where a share of train is held out."""
        match self.validation:
            case Mapping():
                return dict(self.validation)
            case tuple() if self.validation:
                return {"validation": self.validation}
        return {}

    @property
    def held_out(self) -> float:
        """Share of train's documents that validation takes."""
        return self.validation if isinstance(self.validation, float) else 0.0
