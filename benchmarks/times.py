"""Times to a loss, from the cells of benchmarks.curves: how much longer each side of the peer takes, and one plot.

python -m benchmarks.times CELLS.jsonl --plot times.svg
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cells import read_cells

SIDES = {"lmkit": "lmkit's recipe", "trainer-best": "Trainer at its best", "trainer": "Trainer as it comes"}
COLOURS = {"lmkit": "#c0392b", "trainer-best": "#2c3e50", "trainer": "#7f8c8d"}
Points = list[tuple[float, float]]
"""Minutes and the loss after them, by minutes."""


def points(cells: Sequence[Mapping[str, Any]], objective: str, side: str) -> Points:
    """What a side came to."""
    mine = (cell for cell in cells if cell["objective"] == objective and cell["side"] == side)
    return sorted((cell["minutes"], cell["loss"]) for cell in mine)


def minutes_to(loss: float, curve: Points) -> float:
    """Minutes to a loss, between runs by the logarithm of the time; infinite where the longest did not reach it."""
    for (early, above), (late, below) in zip([(0.0, math.inf), *curve], curve, strict=False):
        if below <= loss:
            if not early or math.isinf(above):
                return late  # at most: no shorter run was made
            share = (above - loss) / (above - below)
            return math.exp(math.log(early) + share * (math.log(late) - math.log(early)))
    return math.inf


def table(cells: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Of each run of lmkit: its loss, and what the peer needs to come to it."""
    yield "| objective | lmkit, minutes | loss | Trainer at its best | times | Trainer as it comes | times |"
    yield "|---|---|---|---|---|---|---|"
    for objective in sorted({cell["objective"] for cell in cells}):
        for minutes, loss in points(cells, objective, "lmkit"):
            told = []
            for side in ("trainer-best", "trainer"):
                curve = points(cells, objective, side)
                needs = minutes_to(loss, curve)
                longest = max((at for at, _ in curve), default=0.0)
                at_least = "" if math.isfinite(needs) else "> "
                needs = needs if math.isfinite(needs) else longest
                told += [f"{at_least}{needs:.1f} min", f"{at_least}{needs / minutes:.1f}x"]
            yield f"| {objective} | {minutes:g} | {loss:.3f} | {' | '.join(told)} |"


def plot(cells: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Loss over minutes, both logarithmic in time, an objective beside the other."""
    from matplotlib.figure import Figure

    objectives = sorted({cell["objective"] for cell in cells})
    figure = Figure(figsize=(5.2 * len(objectives), 3.8), layout="constrained")
    for place, objective in zip(figure.subplots(1, len(objectives), squeeze=False)[0], objectives, strict=True):
        for side, name in SIDES.items():
            curve = points(cells, objective, side)
            place.plot(*zip(*curve, strict=True), "o-", color=COLOURS[side], label=name)
        place.set(xscale="log", xlabel="minutes of training", ylabel="validation loss", title=objective.upper())
        place.grid(alpha=0.3)
        place.legend(frameon=False)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="as its suffix says: .svg, .png")
    options = parser.parse_args()
    cells = read_cells(options.cells)
    print("\n".join(table(cells)))
    if options.plot:
        plot(cells, options.plot)


if __name__ == "__main__":
    main()
