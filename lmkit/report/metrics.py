"""Metrics: a run's events as a file of JSON lines, written as they happen and readable while the run goes on.

A line is appended and handed to the system at once, so a kill tears at most the last one; it is not forced to the disk,
which would cost more than a small step. What a machine loses with its power, a resumed run writes again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from lmkit.engine.events import Alarm, Evaluated, Event, Finished, Resumed, Sampled, Saved, Started, Stepped

NAMES: Mapping[type[Event], str] = {
    Started: "started",
    Stepped: "step",
    Evaluated: "evaluated",
    Sampled: "sampled",
    Saved: "saved",
    Resumed: "resumed",
    Alarm: "alarm",
    Finished: "finished",
}
"""What the file calls each event."""

_STEP_KEYS = (
    *("step", "tokens", "seconds", "loss", "terms", "grad_norm", "learning_rate"),
    *("tokens_per_second", "model_flops_utilization"),
)
_REPLAYED = frozenset({"step", "evaluated", "sampled", "saved"})
_KEYS = (("step", int), ("event", str))
_LARGEST = 1e100
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class MetricsFile:
    """An observer that appends one JSON object a line to `path`.

    JSON has no NaN: a number that is not finite is written as the string "nan", "inf" or "-inf".
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("a+b") as file:
            if file.tell():
                file.seek(-1, 2)
                if file.read() != b"\n":  # a kill tore the last line: what follows must not join it
                    file.write(b"\n")

    def __call__(self, event: Event) -> None:
        line = json.dumps(record(event), ensure_ascii=False, allow_nan=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def record(event: Event) -> dict[str, Any]:
    """The JSON object of an event."""
    values = attrs.asdict(event)
    if isinstance(event, Stepped):
        values = {key: values[key] for key in _STEP_KEYS} | ({} if event.applied else {"applied": False})
    return {"event": NAMES[type(event)], **_written(values)}


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """What counts of a metrics file, in order; "nan", "inf" and "-inf" are numbers again.

    The last line of a step counts: where a run went on from a checkpoint, steps that it had made beyond that
    checkpoint are left out. Lines that a kill tore are left out too. An absent file has no lines.
    """
    if not path.exists():
        return []
    records: list[dict[str, Any]] = []
    for line in path.read_bytes().split(b"\n"):
        found = _parsed(line)
        if found is None:
            continue
        step = found["step"]
        if found["event"] == NAMES[Started]:
            records = [r for r in records if r["event"] not in _REPLAYED or r["step"] <= step]
        records.append(found)
    return records


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line, parse_int=_whole, parse_float=_number)
    except (ValueError, RecursionError):  # of JSON and of UTF-8; what nobody of us wrote
        return None
    if not isinstance(found, dict) or not all(isinstance(found.get(key), kind) for key, kind in _KEYS):
        return None
    for key in ("loss", "grad_norm", "terms"):
        if key in found:
            found[key] = _read(found[key])
    return found


def _whole(digits: str) -> int | float:
    """An int that a chart can hold; else infinity."""
    return int(digits) if len(digits) < 19 else math.copysign(math.inf, -1 if digits.startswith("-") else 1)


def _number(text: str) -> float:
    value = float(text)
    return value if abs(value) < _LARGEST else math.copysign(math.inf, value)


def _written(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _written(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_written(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _read(inner) for key, inner in value.items()}
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value
