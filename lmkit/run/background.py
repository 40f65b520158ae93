"""Background: a checkpoint is written by a thread of its own while training goes on, one at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import attrs

from lmkit.engine.state import Snapshot


class Background:
    """Copies a run as it stands, and has `write` write the copy; a write that fails is told at the next, or the end."""

    def __init__(self, write: Callable[[Snapshot], str]) -> None:
        self._write = write
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[str] | None = None

    def __call__(self, snapshot: Snapshot) -> str:
        """Begin to write, once the one before is on disk; raises what its writing raised."""
        self.finish()
        tensors = {
            stem: {name: tensor.detach().to("cpu", copy=True) for name, tensor in some.items()}
            for stem, some in snapshot.tensors.items()
        }
        copied = attrs.evolve(snapshot, state=copy.deepcopy(snapshot.state), tensors=tensors)
        self._writing = self._thread.submit(self._write, copied)
        return f"step {snapshot.state.step} in the background"

    def wait(self) -> None:
        """Until nothing is being written, whether it went well or not: for a run that ends by another error."""
        self._thread.shutdown(wait=True)

    def finish(self) -> None:
        """Wait until all is on disk; raises what the writing raised."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()
