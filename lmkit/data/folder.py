"""Folder: made once, whole or not at all, whoever makes it and whenever it is killed.

    lock -> temporary folder -> write -> fsync each file -> rename -> fsync parent -> unlock

The lock is the kernel's (flock) and ends with its process, so a killed build blocks nobody; its file stays behind.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import attrs
import numpy as np
import numpy.typing as npt

from lmkit.config import structure
from lmkit.errors import ConfigError, DataError, IntegrityError

MANIFEST = "manifest.json"
_FILES = ("tokens.bin", "documents.bin", "bytes.bin", "starts.bin", "lengths.bin", "borders.bin")


def make_once(folder: Path, write: Callable[[Path], Mapping[str, Any]]) -> bool:
    """Unless `folder` exists, have `write` fill a temporary one and return its manifest; then it becomes `folder`.

    Returns whether it was made now.  Processes that come at once wait for the first.  Raises DataError where the disk
    does not take it.
    """
    if folder.is_dir():  # without the lock, so that a cache may be read-only
        return False
    temporary = folder.with_name(f"{folder.name}.unfinished")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(f"{folder.name}.lock")):
            if folder.is_dir():
                return False
            shutil.rmtree(temporary, ignore_errors=True)  # left by a build that was killed: the lock is ours
            temporary.mkdir()
            try:
                manifest = write(temporary)
                for path in temporary.iterdir():
                    _sync(path)
                (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
                _sync(temporary / MANIFEST)
                _sync(temporary)
                temporary.rename(folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            _sync(folder.parent)
            return True
    except OSError as error:
        room = " with more room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else " of your own"
        raise DataError(
            f"{folder}: cannot be written: {error.strerror or error}. Set LMKIT_CACHE to a folder{room}"
        ) from None


@attrs.frozen
class Entry:
    """A file that a manifest lists."""

    size: int
    """Bytes."""
    sha256: str = ""


class Listing(Protocol):
    """What every manifest has."""

    @property
    def files(self) -> Mapping[str, Entry]:
        """Name -> what it has to be."""


T = TypeVar("T", bound=Listing)


def read_manifest(folder: Path, cls: type[T], *, version: int) -> T:
    """The manifest of a folder as a `cls`, after a look at the size of each file that it lists.

    Raises IntegrityError for a folder or file that is absent, damaged, or of another `version`.
    """
    path = folder / MANIFEST
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        found = plain["version"]
        if found == version:
            manifest = structure(cls, plain, source=str(path))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ConfigError) as error:
        raise IntegrityError(f"{path}: not the manifest of a token store: {error}. {remedy(folder)}") from None
    if found != version:
        raise IntegrityError(f"{path}: version {found!r}, where this lmkit reads version {version}. {remedy(folder)}")
    for name, entry in manifest.files.items():
        size = (folder / name).stat().st_size if name in _FILES and (folder / name).is_file() else None
        if size != entry.size:
            got = "absent" if size is None else f"{size:,} bytes"
            raise IntegrityError(f"{folder / name}: {got}, where {entry.size:,} bytes are wanted. {remedy(folder)}")
    return manifest


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(folder: Path, files: Mapping[str, Entry]) -> None:
    """Read every file; raises IntegrityError for one whose hash is not what the manifest says."""
    for name, entry in files.items():
        if sha256(folder / name) != entry.sha256:
            raise IntegrityError(f"{folder / name}: its bytes have changed. {remedy(folder)}")


def mapped(path: Path, dtype: str) -> npt.NDArray[Any]:
    """The array that a file holds, read from disk as it is used; the file is not empty."""
    return np.asarray(np.memmap(path, dtype, "r"))  # a plain array: slicing a memmap costs microseconds more


def remedy(folder: Path) -> str:
    """What to do about a damaged folder."""
    return f"Delete {folder}: it is made again from the text"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
