"""Files: from the paths and patterns of a config to files in a fixed order, each with its format.

The suffix decides the format, never the content, so that a file cannot change its meaning by what it holds; one that
says nothing, such as .txt, is what the settings say, text unless they do.
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import attrs

from lmkit.errors import DataError

FileFormat = Literal["text", "jsonl", "json", "csv", "tsv", "parquet", "conll"]
Format = FileFormat | Literal["datasets"]

_TABLES: dict[str, FileFormat] = {
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".json": "json",
    ".conll": "conll",
    ".bio": "conll",
    ".iob": "conll",
    ".iob2": "conll",
}
_MARK_OF_DATASET = "dataset_info.json"
_MARK_OF_SPLITS = "dataset_dict.json"


@attrs.frozen
class File:
    """One file, or one folder that `datasets` saved."""

    path: Path
    format: Format

    @property
    def gzipped(self) -> bool:
        return self.path.suffix == ".gz"

    def identity(self) -> str:
        """What its content is known by: format and sha256 of its bytes on disk, of a folder those of its files."""
        inside = sorted(path for path in self.path.iterdir() if path.is_file()) if self.path.is_dir() else [self.path]
        return " ".join([self.format, "gz" * self.gzipped, *map(_sha256, inside)])


def find(paths: Iterable[Path], otherwise: FileFormat = "text") -> tuple[File, ...]:
    """The files that `paths` name, in order, those of a folder or pattern sorted.

    One whose suffix says no format has that of `otherwise`.  Raises DataError for a path or pattern that names no file.
    """
    return tuple(_file(found, otherwise) for path in paths for found in _expand(path))


def _expand(path: Path) -> list[Path]:
    if path.is_file() or _is_dataset(path):
        return [path]
    if path.is_dir():
        inside = (found for found in path.rglob("*") if not _is_hidden(found.relative_to(path)))
        found = sorted(file for file in inside if file.is_file())
        wanted = "a folder that holds no file"
    elif glob.has_magic(str(path)):
        matches = map(Path, glob.glob(str(path), recursive=True))
        found = sorted(match for match in matches if match.is_file() or _is_dataset(match))
        wanted = "a pattern that matches no file"
    elif path.exists():
        raise DataError(f"{path}: neither a file nor a folder. Save a pipe's lines first, or predict from stdin with -")
    else:
        raise DataError(f"{path}: no such file or folder. Correct the path")
    if not found:
        raise DataError(f"{path}: {wanted}. Correct the path")
    return found


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _is_dataset(path: Path) -> bool:
    if (path / _MARK_OF_SPLITS).is_file():
        splits = sorted(inner.name for inner in path.iterdir() if (inner / _MARK_OF_DATASET).is_file())
        if not splits:
            raise DataError(f"{path}: it has a {_MARK_OF_SPLITS} but no split. Save the data set again")
        raise DataError(f"{path}: a folder of the splits {', '.join(splits)}. Name one, such as {path / splits[0]}")
    return (path / _MARK_OF_DATASET).is_file()


def _file(path: Path, otherwise: FileFormat) -> File:
    if path.is_dir():
        return File(path, "datasets")
    named = _TABLES.get(Path(path.stem).suffix if path.suffix == ".gz" else path.suffix, otherwise)
    if path.suffix == ".gz" and named == "parquet":
        raise DataError(f"{path}: a gzipped parquet file, which cannot be read in parts. Unpack it with gunzip")
    return File(path, named)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
