"""Table: names and values in two columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_OF_BYTES = ("bytes of ", "bytes sent ")


def table(values: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """A line for each value; a mapping inside another one is indented, a list has a line for each of its items."""
    width = max((len(_words(name)) for name, value in values.items() if not isinstance(value, Mapping)), default=0)
    for name, value in values.items():
        if isinstance(value, Mapping):
            if value:
                yield f"{indent}{_words(name)}"
                yield from table(value, indent + "  ")
        elif isinstance(value, (list, tuple)) and value and all(isinstance(item, (int, float)) for item in value):
            yield f"{indent}{_words(name):{width}}  {', '.join(map(said, value))}"
        elif isinstance(value, (list, tuple)):
            for number, item in enumerate(value):
                yield f"{indent}{_words(name) if number == 0 else '':{width}}  {said(item)}"
        else:
            yield f"{indent}{_words(name):{width}}  {_in_units(name, value)}"


def _words(name: str) -> str:
    if "." in name:  # a key, to be typed as it is
        return name
    if name == "minutes":
        return "time"
    if name.startswith(_OF_BYTES):
        return name.removeprefix("bytes of ").removeprefix("bytes ")
    return name.removesuffix("_bytes").removesuffix(" bytes").replace("_", " ")


def _in_units(name: str, value: Any) -> str:
    """A value whose name says its unit as people say it: 1.2 GB, 3 h 20 min, 590 MFLOP."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return said(value)
    if name.endswith(("_bytes", " bytes")) or name.startswith(_OF_BYTES):
        return f"{_scaled(value)}B"
    if name.startswith("flops"):
        return f"{_scaled(value)}FLOP"
    if name == "minutes":
        hours, minutes = divmod(round(value), 60)
        return f"{hours:,} h {minutes} min" if hours else f"{value:.3g} min"
    return said(value)


def _scaled(value: float) -> str:
    """Three digits and the letter of a power of a thousand."""
    letters = iter(("", "k", "M", "G", "T", "P", "E", "Z", "Y"))
    letter = next(letters)
    while abs(value) >= 999.5 and letter != "Y":
        value, letter = value / 1000, next(letters)
    return f"{value:.3g} {letter}"


def said(value: Any) -> str:
    """A value, for people."""
    match value:
        case bool():
            return "yes" if value else "no"
        case None:
            return "unknown"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)
