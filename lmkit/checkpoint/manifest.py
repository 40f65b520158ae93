"""Manifest: the size and hash of every file of a checkpoint, and the components that made it.

It is written last, so a folder without one was never finished. Formats notice a cut file but not a flipped bit, so
every byte is hashed (SHA-256, about 1 GB/s), the manifest's own too. That guards against accidents, not against an
attacker, who would hash what he wrote.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, Self

import attrs

from lmkit.config import structure
from lmkit.errors import ConfigError, IntegrityError

FORMAT = 1
MANIFEST = "manifest.json"
STATE = "state.json"
MOST_MANIFEST_BYTES = 10_000_000
MOST_STATE_BYTES = 64_000_000

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?")
_STEP = re.compile(r"step-([0-9]{8,18})")


@attrs.frozen
class File:
    """What a file has to be."""

    size: int
    """Bytes."""
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """What the file at `path` is now; raises OSError."""
        with open_plain(path) as file:
            return cls(os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest())


@attrs.frozen
class Record:
    """A component that a checkpoint was made by."""

    kind: str
    name: str
    distribution: str
    version: str
    state_version: int
    config: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Manifest:
    """What a checkpoint consists of."""

    format: int = FORMAT
    step: int
    components: tuple[Record, ...]
    files: Mapping[str, File]
    """Each file but the manifest itself, by its path: a plain name, in at most one folder."""

    def to_bytes(self) -> bytes:
        """Canonical JSON, sealed with its own hash: the same manifest gives the same bytes."""
        body = attrs.asdict(self)
        return as_json({**body, "sha256": hashlib.sha256(as_json(body)).hexdigest()})

    @classmethod
    def from_bytes(cls, data: bytes, source: Path) -> Self:
        """What `to_bytes` wrote, and nothing else; raises IntegrityError, starting with `source`."""
        body = parse_json(data, source / MANIFEST)
        found = body.get("format")
        if type(found) is int and found > FORMAT:
            raise IntegrityError(
                f"{source}: written by a newer lmkit, in format {found}; this one reads up to {FORMAT}: upgrade lmkit"
            )
        body.pop("sha256", None)
        try:
            manifest = structure(cls, body, source=str(source / MANIFEST))
            whole = manifest.format == FORMAT and manifest.to_bytes() == data
        except ConfigError as error:
            raise IntegrityError(str(error)) from None
        except RecursionError:
            whole = False
        if not whole:
            raise IntegrityError(f"{source / MANIFEST} is damaged: its SHA-256 is not what it says itself")
        for name in manifest.files:
            if not is_plain(name):
                raise IntegrityError(f"{source / MANIFEST} names {name!r}: expected a plain file name, or folder/name")
        return manifest


def step_name(step: int) -> str:
    """The folder of a step's checkpoint: "step-00001000"."""
    return f"step-{step:08d}"


def step_of(name: str) -> int | None:
    """The step of a checkpoint's folder; None where the name is none of ours."""
    match = _STEP.fullmatch(name)
    step = int(match[1]) if match else -1
    return step if step_name(step) == name else None


def is_plain(name: str) -> bool:
    """Whether a checkpoint may hold a file of this path: it can lead nowhere else."""
    return _NAME.fullmatch(name) is not None


def files_of(folder: Path) -> Iterator[str]:
    """The path of each file in `folder` and in its folders; raises IntegrityError for what is neither."""
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink():
            raise IntegrityError(f"{folder}: {entry.name} is a symbolic link, which no checkpoint has")
        below = sorted(entry.iterdir()) if entry.is_dir() else None
        for path in [entry] if below is None else below:
            name = path.relative_to(folder).as_posix()
            if path.is_symlink():
                raise IntegrityError(f"{folder}: {name} is a symbolic link, which no checkpoint has")
            if not path.is_file():
                raise IntegrityError(f"{folder}: {name} is not a file, and a checkpoint has nothing else there")
            yield name


def open_plain(path: Path) -> BufferedReader:
    """A file to read; raises OSError for a symbolic link and for what is no file, without waiting for a pipe."""
    file = open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{path} is not a file")
    return file


def as_json(value: Any) -> bytes:
    """JSON text; raises TypeError or ValueError for what JSON cannot say, such as NaN."""
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode("ascii")


def parse_json(data: bytes, path: Path) -> dict[str, Any]:
    """A JSON object with finite numbers and each key once; raises IntegrityError."""
    try:
        value = json.loads(data.decode("ascii"), parse_constant=_finite, parse_float=_finite, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path} is damaged: it cannot be read as JSON ({error})") from None
    if not isinstance(value, dict):
        raise IntegrityError(f"{path} is damaged: expected a JSON object, got {type(value).__name__}")
    return value


def _finite(text: str) -> float:
    if math.isfinite(number := float(text)):
        return number
    raise ValueError(f"{text} is not a finite number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, item in pairs:
        if key in value:
            raise ValueError(f"{key!r} is there twice")
        value[key] = item
    return value
