"""Console: a run on the terminal, as a few moving lines, with validations and saves above them; plain lines elsewhere.

The moving lines are drawn when an event comes, by the thread that trains: no second thread that a forked data worker
would inherit. A step that takes a minute therefore leaves them still for a minute.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from lmkit.engine.events import Alarm, Evaluated, Event, Finished, Observer, Started, Stepped
from lmkit.report.sentences import progress, sentences

if TYPE_CHECKING:
    from rich.live import Live

    from lmkit.report.display import Display

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_DRAWINGS = 0.1


class Console:
    """An observer that tells a person how the run goes; `quiet`: alarms only."""

    def __init__(
        self, *, quiet: bool = False, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._clock = clock
        self._moves = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._live: Live | None = None
        self._display: Display | None = None
        self._steps: int | None = None
        self._first: Stepped | None = None  # of this process: what a resumed run's speed is measured from
        self._shown_at = -float("inf")
        self._due_step = 0

    def __call__(self, event: Event) -> None:
        if self._quiet:
            if isinstance(event, Alarm):
                self._say(event)
            return
        match event:
            case Started(steps=steps, step=step):
                self._steps, self._first, self._due_step = steps, None, step + 1
            case Stepped():
                self._step(event)
            case Evaluated() if self._display is not None:
                self._display.evaluated(event)
            case Finished():
                self._stop()
        self._say(event)

    def _step(self, event: Stepped) -> None:
        if self._first is None:
            self._first = event
        line = progress(event, steps=self._steps, left=_seconds_left(event, self._first))
        now = self._clock()
        if self._moves:
            self._shown().stepped(event)
            if now - self._shown_at >= _SECONDS_BETWEEN_DRAWINGS or event.step == self._steps:
                self._draw(event, line)
                self._shown_at = now
        elif (
            now - self._shown_at >= _SECONDS_BETWEEN_LINES or event.step >= self._due_step or event.step == self._steps
        ):
            self._write(line)
            done = event.step - self._first.step + 1
            self._due_step = self._first.step - 1 + 2 ** done.bit_length()  # at 1, 2, 4, 8, ... steps of this process
            self._shown_at = now

    def _say(self, event: Event) -> None:
        for line in sentences(event):
            self._write(line)

    def _write(self, line: str) -> None:
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            self._stream.write(line + "\n")
            self._stream.flush()

    def _shown(self) -> Display:
        from lmkit.report.display import Display

        if self._display is None:
            self._display = Display()
        return self._display

    def _draw(self, event: Stepped, line: str) -> None:
        share = event.step / self._steps if self._steps else event.progress
        shown = self._shown().shown(event, line, share)
        if self._live is None:
            self._live = _moving_lines(self._stream)
            self._live.start()
        self._live.update(shown, refresh=True)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def _seconds_left(event: Stepped, first: Stepped) -> float | None:
    gained = event.progress - first.progress
    return (event.seconds - first.seconds) * (1 - event.progress) / gained if gained > 0 else None


def _moving_lines(stream: TextIO) -> Live:
    from rich.console import Console as RichConsole
    from rich.live import Live

    console = RichConsole(file=stream)
    return Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)


def guarded(observer: Observer) -> Observer:
    """The same observer, but one that raises is told about once on stderr and never stops training."""
    told = False

    def observe(event: Event) -> None:
        nonlocal told
        try:
            observer(event)
        except Exception as error:
            if not told:
                told = True
                who = getattr(observer, "__qualname__", type(observer).__qualname__)
                what = f"{type(error).__name__}: {error}"
                sys.stderr.write(f"warning: observer {who} failed at step {event.step}, training goes on: {what}\n")

    return observe
