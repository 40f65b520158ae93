"""Curves: what runs did step by step, drawn by matplotlib as SVG that takes the page's own colour for its words."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

_INK = "#010203"
"""Stands for the page's colour of text, which is light on dark and dark on light."""
_COLOURS = ("#2f7fd1", "#d1682f", "#2f9e6e", "#a04fc0", "#b8982a", "#c0405f")
_MOST = 600
"""Points of a curve; more would only make the page larger."""
_BARS = "▁▂▃▄▅▆▇█"

Curve = Sequence[tuple[float, float]]


def drawn(curves: Mapping[str, Curve], *, title: str, x: str, y: str, points: Mapping[str, Curve] | None = None) -> str:
    """An SVG element with a line for each of `curves`, and marks where `points` of the same names were measured."""
    import matplotlib
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "lmkit",
        "text.parse_math": False,  # a run may be called $what$
        "font.family": "sans-serif",
        "font.size": 10,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK),
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(7.2, 3.2))
        axes = figure.subplots()
        for number, name in enumerate({**curves, **(points or {})}):
            colour = _COLOURS[number % len(_COLOURS)]
            if line := _thinned(curves.get(name, ())):
                axes.plot(*zip(*line, strict=True), color=colour, linewidth=1.2, label=name)
            if marks := [p for p in (points or {}).get(name, ()) if math.isfinite(p[1])]:
                axes.plot(*zip(*marks, strict=True), "o-", color=colour, markersize=3.5, linewidth=1, label=name)
        axes.set(title=title, xlabel=x, ylabel=y)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if len({**curves, **(points or {})}) > 1:
            axes.legend(frameon=False)
        figure.tight_layout()
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :].replace(_INK, "currentColor")


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """A curve in one line of characters, low values low; "x" where a value is no number."""
    if not values:
        return ""
    cells = [values[number * len(values) // width] for number in range(width)] if len(values) > width else [*values]
    finite = [value for value in cells if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] if math.isfinite(value) else "x" for value in cells)


def _thinned(curve: Curve) -> Curve:
    """At most _MOST points, each the mean of those that it stands for; what is no number is left out."""
    finite = [point for point in curve if math.isfinite(point[1])]
    size = math.ceil(len(finite) / _MOST)
    if size < 2:
        return finite
    groups = [finite[start : start + size] for start in range(0, len(finite), size)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]
