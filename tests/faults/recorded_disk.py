"""A disk that remembers what was done to it and in which order, and shows every state that a power loss may leave.

The model of a file system is the weakest that POSIX promises: what a file holds is there once the file was forced to
the disk, and names in a folder are there, in the order in which they were made, once the folder was.
"""

from __future__ import annotations

import builtins
import io
import itertools
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import safetensors.torch


@attrs.define(eq=False)
class Node:
    """A file, or a folder with the history of its names."""

    is_folder: bool
    content: bytes | None = None
    """What is on the disk of a file for sure; None before it was forced there."""
    names: list[tuple[str, str, Node | None]] = attrs.field(factory=list)
    """("set", name, node) or ("drop", name, None), in order."""
    forced: int = 0
    """How many of `names` are on the disk for sure."""

    def now(self, upto: int | None = None) -> dict[str, Node]:
        """The names after the first `upto` changes."""
        found: dict[str, Node] = {}
        for what, name, node in self.names[:upto]:
            if what == "set" and node is not None:
                found[name] = node
            else:
                found.pop(name, None)
        return found


class RecordedDisk:
    """Records what happens below `root`; after each call `states` is every way the power may fail there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.top = self._existing(root)
        self.calls = 0

    def _existing(self, path: Path) -> Node:
        if not path.is_dir():
            return Node(is_folder=False, content=path.read_bytes())
        node = Node(is_folder=True, names=[("set", inner.name, self._existing(inner)) for inner in path.iterdir()])
        node.forced = len(node.names)
        return node

    def _find(self, path: Path) -> Node | None:
        if not path.is_relative_to(self.root):
            return None
        node = self.top
        for part in path.relative_to(self.root).parts:
            inner = node.now().get(part)
            if inner is None:
                return None
            node = inner
        return node

    def _note(self, name: str, path: Path, other: Path | None) -> bool:
        """Remember a call that has been made; returns whether it changed what a power loss may leave."""
        folder = self._find(path.parent)
        if folder is None:
            return False
        if name in ("mkdir", "create"):
            if path.name in folder.now():  # written again: what it held is no longer sure
                folder.now()[path.name].content = None
            else:
                folder.names.append(("set", path.name, Node(is_folder=name == "mkdir")))
        elif name in ("unlink", "rmdir"):
            folder.names.append(("drop", path.name, None))
        elif name == "rename" and other is not None and (target := self._find(other.parent)) is not None:
            target.names.append(("set", other.name, folder.now()[path.name]))
            folder.names.append(("drop", path.name, None))
        elif name == "fsync" and (node := self._find(path)) is not None:
            if node.is_folder:
                node.forced = len(node.names)
            else:
                node.content = path.read_bytes()
        else:
            return False
        return True

    def recording(self, patch: pytest.MonkeyPatch, after: Callable[[], None]) -> None:
        """Have every call that changes the disk noted, and `after` called behind each."""

        def around(module: Any, call: str, note: Callable[..., tuple[str, Path, Path | None] | None]) -> None:
            real = getattr(module, call)

            def noted(*args: Any, **kwargs: Any) -> Any:
                what = note(*args, **kwargs)
                result = real(*args, **kwargs)
                if what is not None and self._note(*what):
                    self.calls += 1
                    after()
                return result

            patch.setattr(module, call, noted)

        def place(path: Any, dir_fd: int | None) -> Path:
            return Path(f"/proc/self/fd/{dir_fd}").readlink() / os.fspath(path) if dir_fd is not None else Path(path)

        def of(name: str) -> Callable[..., tuple[str, Path, None]]:
            return lambda path, *args, dir_fd=None, **kwargs: (name, place(path, dir_fd), None)

        def opened(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> tuple[str, Path, None] | None:
            return ("create", Path(path), None) if isinstance(path, (str, Path)) and set(mode) & set("wxa") else None

        for name in ("mkdir", "unlink", "rmdir"):
            around(os, name, of(name))
        around(os, "rename", lambda old, new, **kwargs: ("rename", Path(old), Path(new)))
        around(os, "fsync", lambda fd: ("fsync", Path(f"/proc/self/fd/{fd}").readlink(), None))
        around(builtins, "open", opened)
        around(io, "open", opened)
        around(safetensors.torch, "save_file", lambda tensors, path, **kwargs: ("create", Path(path), None))

    def states(self) -> Iterator[Callable[[Path], None]]:
        """Each state that may be found when the power comes back, as what writes it into an empty folder."""
        folders = [node for node in self._nodes() if node.is_folder]
        choices = [range(folder.forced, len(folder.names) + 1) for folder in folders]
        for chosen in itertools.product(*choices):
            upto = dict(zip(map(id, folders), chosen, strict=True))
            for torn in (b"", b'{"half of": '):
                yield partial(self._write, self.top, upto=upto, torn=torn)

    def _nodes(self) -> list[Node]:
        """All that any name has ever led to."""
        found, seen = [self.top], {id(self.top)}
        for node in found:
            for _, _, inner in node.names:
                if inner is not None and id(inner) not in seen:
                    seen.add(id(inner))
                    found.append(inner)
        return found

    def _write(self, node: Node, place: Path, upto: dict[int, int], torn: bytes) -> None:
        place.mkdir(exist_ok=True)
        for name, inner in node.now(upto[id(node)]).items():
            if inner.is_folder:
                self._write(inner, place / name, upto, torn)
            else:
                (place / name).write_bytes(torn if inner.content is None else inner.content)
