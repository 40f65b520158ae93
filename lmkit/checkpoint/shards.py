"""Shards: tensors of which several processes have some rows each, a file a process, read again in any other shares.

    model.0-of-2.safetensors   model.1-of-2.safetensors

Rows are those of a tensor's first dimension, in the order of the files.  What each process has whole is in the first
file alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Any

import attrs
from safetensors import SafetensorError, safe_open

from lmkit.errors import IntegrityError

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".safetensors"
_NAME = re.compile(r"(?P<stem>[^/]+?)(\.(?P<rank>0|[1-9]\d*)-of-(?P<world>[2-9]|[1-9]\d+))?\.safetensors")


def file_name(stem: str, rank: int = 0, world: int = 1) -> str:
    """The file of a process's share of the tensors saved under `stem`."""
    return f"{stem}{SUFFIX}" if world == 1 else f"{stem}.{rank}-of-{world}{SUFFIX}"


def files_by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    """The files of each stem in order of their shares, sorted by stem; what holds no tensors is left out.

    Raises ValueError where a share is missing, or where there are shares of two numbers of processes.
    """
    found: dict[str, dict[tuple[int, int], str]] = {}
    for name in names:
        if match := _NAME.fullmatch(name):
            place = (int(match["world"] or 1), int(match["rank"] or 0))
            found.setdefault(match["stem"], {})[place] = name
    for stem, shares in found.items():
        world = max(shares)[0]
        if len(shares) != world or sorted(shares) != [(world, rank) for rank in range(world)]:
            raise ValueError(f'the tensors "{stem}" are not whole: there are {", ".join(sorted(shares.values()))}')
    return {stem: [name for _, name in sorted(found[stem].items())] for stem in sorted(found)}


@attrs.frozen(kw_only=True, eq=False)
class StoredTensor:
    """A tensor on disk, of which all or some rows can be read; it takes no memory until then."""

    source: Path
    """The checkpoint's folder."""
    name: str
    shape: tuple[int, ...]
    _files: Sequence[Any] = attrs.field(repr=False)
    """Open files, each with some of its rows."""

    def __getitem__(self, rows: slice | EllipsisType) -> Tensor:
        """All of it by `[...]`, or the rows `[first:last]`: a copy in main memory; raises IntegrityError."""
        try:
            return self._read(rows)
        except (OSError, SafetensorError) as error:
            raise IntegrityError(f"{self.source}: {self.name} cannot be read: {error}") from error

    def _read(self, rows: slice | EllipsisType) -> Tensor:
        import torch

        if rows is ...:
            # copies, because a file that is mapped keeps its place on the disk when it is deleted
            parts = [file.get_tensor(self.name) for file in self._files]
            return parts[0].clone() if len(parts) == 1 else torch.cat(parts)
        first, last, _ = rows.indices(self.shape[0])
        found, begins = [], 0
        for file in self._files:
            part = file.get_slice(self.name)
            ends = begins + part.get_shape()[0]
            if first < ends and begins < last:
                found.append(part[max(first - begins, 0) : min(last, ends) - begins].clone())
            begins = ends
        return torch.cat(found) if found else self._files[0].get_slice(self.name)[:0].clone()


def open_shards(files: Sequence[Path]) -> dict[str, StoredTensor]:
    """The tensors in files that `files_by_stem` named; raises IntegrityError where they do not belong together."""
    opened: list[Any] = []
    for path in files:
        try:
            opened.append(safe_open(path, framework="pt", device="cpu"))
        except (OSError, SafetensorError) as error:
            raise IntegrityError(f"{path.parent}: {path.name} cannot be read: {error}") from error
    names = [set(file.keys()) for file in opened]
    stored = {}
    for name in names[0]:
        holders = [file for file, held in zip(opened, names, strict=True) if name in held]
        shapes = [tuple(file.get_slice(name).get_shape()) for file in holders]
        if len(holders) > 1:
            kinds = {
                (file.get_slice(name).get_dtype(), *shape[1:]) for file, shape in zip(holders, shapes, strict=True)
            }
            if len(holders) < len(opened) or () in shapes or len(kinds) > 1:
                raise IntegrityError(f"{files[0].parent}: the shares of {name} do not belong together")
            shapes[0] = (sum(shape[0] for shape in shapes), *shapes[0][1:])
        stored[name] = StoredTensor(source=files[0].parent, name=name, shape=shapes[0], files=holders)
    if strange := set().union(*names) - names[0]:
        raise IntegrityError(f"{files[0].parent}: {min(strange)} is not in {files[0].name}, but in another share")
    return stored
