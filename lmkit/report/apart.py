"""Apart: a reporter in a thread of its own, so that a service that is slow, or hangs, does not hold up training."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import ClassVar

from lmkit.engine.events import Event, Finished, Observer, Started
from lmkit.errors import PluginError


class Apart:
    """An observer that hands each event, in order, to another one that lives in another thread, and returns at once.

    `make` makes that other one there, since trackers remember in which thread they were begun; what it raises is raised
    here.  Two events wait, some seconds at most: the start of a run, behind which data workers are forked, and its end.
    What was dropped or left by then is told on stderr.
    """

    room: ClassVar[int] = 10_000
    """Events that wait; those that come beyond are dropped."""
    patience: ClassVar[float] = 30.0
    """Seconds that there are, at the start and after the run, for what was not told yet."""

    def __init__(self, make: Callable[[], Observer], name: str) -> None:
        self._name = name
        self._waiting: queue.Queue[Event | threading.Event | None] = queue.Queue(self.room)
        self._dropped = 0
        made: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, args=(make, made), name=f"reporter {name}", daemon=True)
        self._thread.start()
        try:
            made.result(timeout=self.patience)
        except TimeoutError:
            raise PluginError(f"it did not begin within {self.patience:g} seconds") from None

    def __call__(self, event: Event) -> None:
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            self._dropped += 1
        if isinstance(event, Started):
            self._settled()
        if isinstance(event, Finished):
            settled = self._settled()
            if settled:
                self._waiting.put(None)
                self._thread.join(self.patience)
            if self._dropped or not settled:
                which = f"{self._dropped:,} events" if self._dropped else "the last events"
                sys.stderr.write(
                    f"warning: reporter {self._name} does not keep up, or has stopped: {which} of the run are not in "
                    "what it writes; metrics.jsonl has them all\n"
                )

    def _settled(self) -> bool:
        """Wait until all so far is told; whether it was."""
        told, deadline = threading.Event(), time.monotonic() + self.patience
        while self._thread.is_alive() and time.monotonic() < deadline:
            try:
                self._waiting.put(told, timeout=0.05)
                break
            except queue.Full:
                continue
        while self._thread.is_alive() and time.monotonic() < deadline:
            if told.wait(0.05):
                return True
        return told.is_set()

    def _work(self, make: Callable[[], Observer], made: Future[None]) -> None:
        try:
            observer = make()
        except BaseException as error:
            made.set_exception(error if isinstance(error, Exception) else PluginError(f"it left: {error!r}"))
            return
        made.set_result(None)
        while (item := self._waiting.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            try:
                observer(item)
            except BaseException as error:  # one that leaves, which only a whole program may
                sys.stderr.write(f"warning: reporter {self._name} has left: {type(error).__name__}: {error}\n")
                return
