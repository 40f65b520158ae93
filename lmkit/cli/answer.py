"""Answer: what a command has to say, in words for a person and as data for a script."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import attrs


@attrs.frozen
class Answer:
    """Both forms are made when asked for, so that a long answer is never held whole, nor made twice."""

    lines: Iterable[str]
    """Words, a line each."""
    data: Callable[[], Mapping[str, Any]]
    """The same as one JSON object."""
    status: int = 0
    """The command's exit status."""

    @classmethod
    def of(cls, data: Mapping[str, Any], *lines: str, status: int = 0) -> Self:
        """An answer that is known already."""
        return cls(lines, lambda: data, status)


def as_json(data: Any) -> str:
    """JSON text in one line; numbers that are not finite become the strings "nan", "inf" and "-inf"."""
    plain = _plain(data)
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only JSON's escapes can write
        return json.dumps(plain, allow_nan=False)
    return text


def shortened(value: Any) -> Any:
    """The same with six digits a number, behind the point where it is above 1: as many as people read."""
    match value:
        case float():
            return float(f"{value:.6g}") if abs(value) < 1 else round(value, 6)
        case Mapping():
            return {key: shortened(inner) for key, inner in value.items()}
        case list() | tuple():
            return [shortened(inner) for inner in value]
    return value


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case Sequence() | set() | frozenset():
            return [_plain(inner) for inner in value]
    if attrs.has(type(value)):
        return _plain(attrs.asdict(value, recurse=False))
    return _plain(value.tolist()) if hasattr(value, "tolist") else str(value)  # numpy and torch; paths
