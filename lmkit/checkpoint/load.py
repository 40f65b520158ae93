"""Load: a checkpoint is opened only when every file is there, has its size and its hash, and nothing else is there.

Hashing all of a checkpoint to read a part of it costs a second per gigabyte; a flipped bit costs a trained model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from lmkit.checkpoint.manifest import (
    MANIFEST,
    MOST_MANIFEST_BYTES,
    MOST_STATE_BYTES,
    STATE,
    File,
    Manifest,
    files_of,
    open_plain,
    parse_json,
    step_name,
    step_of,
)
from lmkit.checkpoint.shards import StoredTensor, files_by_stem, open_shards
from lmkit.errors import CheckpointError, IntegrityError

if TYPE_CHECKING:
    from torch import Tensor

CHECKPOINTS = "checkpoints"


@attrs.frozen(kw_only=True, eq=False)
class Checkpoint:
    """A checkpoint whose every file is as its manifest says."""

    path: Path
    manifest: Manifest = attrs.field(repr=False)
    state: dict[str, Any] = attrs.field(repr=False)
    """What was saved as `state`."""
    shards: dict[str, list[str]] = attrs.field(repr=False)
    """The files of each name that `tensors` takes."""

    @property
    def step(self) -> int:
        """Optimizer steps made."""
        return self.manifest.step

    @property
    def components(self) -> list[dict[str, Any]]:
        """What was saved as `components`."""
        return [attrs.asdict(record) for record in self.manifest.components]

    @property
    def stems(self) -> list[str]:
        """The names that `tensors` takes, sorted."""
        return sorted(self.shards)

    def tensors(self, stem: str) -> dict[str, Tensor]:
        """The tensors saved under `stem`, on the CPU; raises CheckpointError where there are none of that name."""
        return {name: tensor[...] for name, tensor in self.stored(stem).items()}

    def stored(self, stem: str) -> dict[str, StoredTensor]:
        """The same, left on the disk: of each all or some rows can be read."""
        if stem not in self.shards:
            raise CheckpointError(f'{self.path} has no tensors "{stem}", but {", ".join(self.stems) or "none at all"}')
        return open_shards([self.path / name for name in self.shards[stem]])

    def folder(self, name: str) -> Path:
        """The folder saved as `name`; raises CheckpointError where there is none."""
        if not (self.path / name).is_dir():
            raise CheckpointError(f'{self.path} has no folder "{name}"')
        return self.path / name


def newest(run: Path, *, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest whole checkpoint of a run's folder, or None where it has none yet.

    Each newer one that is damaged is told to `warn` in a sentence; raises IntegrityError where none is whole.
    """
    rejected: list[str] = []
    for path in reversed(saved(run)):
        try:
            found = open_checkpoint(path)
        except IntegrityError as error:
            if not os.path.lexists(path):  # the run, going on, has made a newer one and deleted this one
                return newest(run, warn=warn)
            rejected.append(str(error))
            continue
        for sentence in rejected:
            warn(f"{sentence}; {found.path.name} is used instead")
        return found
    if rejected:
        reasons = "\n  ".join(["no checkpoint is whole", *rejected])
        raise IntegrityError(f"{run / CHECKPOINTS}: {reasons}\nTo start over, remove that folder")
    return None


def of_step(run: Path, step: int, *, hashed: bool = True) -> Checkpoint:
    """The checkpoint of this very step in a run's folder; raises IntegrityError where it is absent or damaged.

    Without `hashed` files are looked at no further than their sizes: another process has hashed them just now.
    """
    return open_checkpoint(run / CHECKPOINTS / step_name(step), hashed=hashed)


def open_checkpoint(path: Path, *, hashed: bool = True) -> Checkpoint:
    """The checkpoint in this very folder; raises IntegrityError that names the first file that is not as it was."""
    try:
        manifest = check(path, hashed=hashed)
        state = parse_json(_read(path / STATE, MOST_STATE_BYTES), path / STATE)
        shards = files_by_stem(manifest.files)
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error}") from error
    except ValueError as error:
        raise IntegrityError(f"{path}: {error}") from None
    return Checkpoint(path=path, manifest=manifest, state=state, shards=shards)


def check(path: Path, *, hashed: bool = True) -> Manifest:
    """The manifest of a checkpoint whose files are all as it says; raises IntegrityError, or OSError."""
    if path.is_symlink() or not path.is_dir():
        raise IntegrityError(f"{path} is {'a symbolic link' if path.is_symlink() else 'not a folder'}: no checkpoint")
    there = set(files_of(path))
    if MANIFEST not in there:
        raise IntegrityError(f"{path}: {MANIFEST} is missing: this was never a whole checkpoint")
    manifest = Manifest.from_bytes(_read(path / MANIFEST, MOST_MANIFEST_BYTES), path)
    for sentence in _differences(path, manifest, there - {MANIFEST}, hashed):
        raise IntegrityError(f"{path}: {sentence}")
    return manifest


def saved(run: Path) -> list[Path]:
    """The folders of a run's checkpoints, whole or not, oldest first: by their step, never by a clock."""
    try:
        folders = [path for path in (run / CHECKPOINTS).iterdir() if step_of(path.name) is not None]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"{run / CHECKPOINTS} cannot be read: {error.strerror}") from error
    return sorted(folders, key=lambda path: step_of(path.name) or 0)


def last_step(run: Path) -> int:
    """The step of a run's newest checkpoint, whole or not; 0 where it has none."""
    folders = saved(run)
    return (step_of(folders[-1].name) or 0) if folders else 0


def _differences(path: Path, manifest: Manifest, there: set[str], hashed: bool) -> Iterator[str]:
    named = manifest.files.keys() | {STATE}
    yield from (f"{name} is missing" for name in sorted(named - there))
    yield from (f"{name} is not in its manifest" for name in sorted(there - manifest.files.keys()))
    step = step_of(path.name)
    if step is not None and step != manifest.step:
        yield f"it is the checkpoint of step {manifest.step} under another name"
    for name, wanted in manifest.files.items():
        if (size := (path / name).stat().st_size) != wanted.size:
            yield f"{name} has {size} bytes, its manifest says {wanted.size}"
        elif hashed and File.of(path / name) != wanted:
            yield f"{name} is damaged: its SHA-256 is not what its manifest says"


def _read(path: Path, most: int) -> bytes:
    with open_plain(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise IntegrityError(f"{path} has more than {most:,} bytes, the most that is read of it")
    return data
