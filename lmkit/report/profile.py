"""Profile: where the time of some steps goes, as a trace for ui.perfetto.dev and as a table that a person can read."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from lmkit.engine.events import Event, Finished, Stepped
from lmkit.engine.step import PARTS

TABLE = "profile.md"
TRACE = "profile.json.gz"
_LINES = 25


class Profile:
    """An observer that watches `steps` steps behind the first `after`, and writes TABLE and TRACE into `folder`.

    The first steps are left out, which warm up what later ones have.  Watching slows what is watched, small operations
    most.
    """

    def __init__(self, folder: Path, *, after: int = 4, steps: int = 8) -> None:
        self._folder, self._after, self._steps = folder, after, steps
        self._seen = 0
        self._profiler: Any = None
        self._begun = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Stepped):
            self._seen += 1
            if self._seen == self._after:
                self._start()
            elif self._profiler is not None and self._seen == self._after + self._steps:
                self._write(event.step)
        elif isinstance(event, Finished):
            if self._seen > self._after:
                if self._profiler is not None:
                    self._write(event.step)
            else:
                if self._profiler is not None:
                    self._profiler.stop()
                    self._profiler = None
                raise RuntimeError(
                    f"{self._seen} steps are too few for a profile: it watches those after {self._after}"
                )

    def _start(self) -> None:
        activities = [ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(ProfilerActivity.CUDA)
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or it tells stderr that it begins, and ends
        self._profiler = profile(activities=activities)
        self._profiler.start()
        self._begun = time.perf_counter()

    def _write(self, step: int) -> None:
        seconds, profiler, self._profiler = time.perf_counter() - self._begun, self._profiler, None
        profiler.stop()
        profiler.export_chrome_trace(str(self._folder / TRACE))
        lines = table(profiler.key_averages(), steps=self._seen - self._after, seconds=seconds, last=step)
        (self._folder / TABLE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def table(found: Sequence[Any], *, steps: int, seconds: float, last: int) -> Iterator[str]:
    """The parts of a step, and the operations that take longest by themselves, as Markdown.

    `found` are torch's averages of each operation over `steps` steps, which took `seconds` and ended with step `last`.
    """
    whole = 1000 * seconds / steps
    times = {one.key: one.cpu_time_total / 1000 / steps for one in found}
    yield f"# Where the time goes: steps {last - steps + 1} to {last}, {whole:,.0f} ms each"
    yield from ("", "| part | ms a step | share |", "|---|---|---|")
    parts = {part: times.get(part, 0.0) for part in PARTS}
    for part, took in {**parts, "the rest": max(0.0, whole - sum(parts.values()))}.items():
        yield f"| {part.removeprefix('step: ')} | {took:,.1f} | {took / whole:.0%} |"
    yield from ("", "| operation, what it calls left out | calls a step | ms a step | share |", "|---|---|---|---|")
    for one in sorted((one for one in found if one.key not in PARTS), key=_own, reverse=True)[:_LINES]:
        took = _own(one) / 1000 / steps
        yield f"| `{one.key}` | {one.count / steps:,.0f} | {took:,.2f} | {took / whole:.1%} |"
    yield from (
        "",
        f"{TRACE} is the same as a trace: open it in ui.perfetto.dev. Watching slows small operations most.",
    )


def _own(one: Any) -> float:
    """Microseconds, without what it calls; on the device where it ran there."""
    return float(one.self_device_time_total or one.self_cpu_time_total)
