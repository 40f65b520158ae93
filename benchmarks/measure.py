"""Run contenders as processes of their own, in turns, so that a slow minute of the machine falls on both.

A contender prints one JSON object as its last line: "seconds" of each measured step, "work" done in one (in the row's
unit), "config", and what else it knows: "loss", "flops" of a unit of work.  Peak memory is the process's own, as the
kernel counted it.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import attrs

from benchmarks.places import ROOT


@attrs.frozen(kw_only=True)
class Contender:
    """One side of a row: a module of this package and its arguments."""

    name: str
    arguments: tuple[str, ...]
    """What follows `python -m`."""


@attrs.frozen(kw_only=True)
class Measurement:
    """One run of one contender."""

    contender: str
    rate: float
    """Work a second at the run's median step."""
    peak_mb: float
    result: dict[str, Any]
    """All that the contender printed."""


def measure(contender: Contender) -> Measurement:
    """Run it once; raises RuntimeError with the end of its output where it fails."""
    command = [sys.executable, "-m", *contender.arguments]
    with tempfile.TemporaryFile("w+") as log:
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True) as process:
            assert process.stdout is not None
            output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{log.read()[-4000:]}")
    result = json.loads(output.splitlines()[-1])
    return Measurement(
        contender=contender.name,
        rate=result["work"] / statistics.median(result["seconds"]),
        peak_mb=result.get("peak_mb", usage.ru_maxrss / 1024),
        result=result,
    )


def alternate(contenders: Sequence[Contender], repeats: int, unit: str) -> list[Measurement]:
    """Every contender `repeats` times, in turns; every other turn runs backwards, so that none is always first."""
    measurements = []
    for turn in range(repeats):
        for contender in contenders if turn % 2 == 0 else reversed(contenders):
            measurements.append(measure(contender))
            newest = measurements[-1]
            print(
                f"  {turn + 1}/{repeats} {newest.contender:14} {newest.rate:11,.4g} {unit}/s {newest.peak_mb:7,.0f} MB",
                file=sys.stderr,
                flush=True,
            )
    return measurements
