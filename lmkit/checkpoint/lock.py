"""RunLock: one process at a time writes into a run's folder.

The lock is the kernel's (flock) and ends with the process, whatever killed it; the file stays behind, unlocked.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from lmkit.errors import RunError

_held: set[int] = set()


def _let_go() -> None:
    """A child of the holder, such as a data worker, may outlive it, and must not keep the run locked then."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go)


class RunLock:
    """Holds a run's folder while it is entered; raises RunError that names the process that has it already."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self._descriptor = -1

    def __enter__(self) -> Self:
        try:
            descriptor = os.open(self.run / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise RunError(f"{self.run}: cannot be locked for writing: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            if not isinstance(error, BlockingIOError):
                raise RunError(f"{self.run}: cannot be locked for writing: {error.strerror}") from error
            who = f"process {holder}" if holder.isdecimal() else "another process"
            raise RunError(f"{self.run} is in use by {who}: wait for it, or stop it") from None
        self._descriptor = descriptor
        _held.add(descriptor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor in _held:  # not in a child, whose copy is closed
            _held.remove(self._descriptor)
            os.close(self._descriptor)
        self._descriptor = -1
