"""Display: a run on a terminal, in three lines that stay where they are: where it stands, its losses, how it fares."""

from __future__ import annotations

import resource
import sys

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lmkit.engine.events import Evaluated, Stepped
from lmkit.report.curves import sparkline

_CURVE = 48


class Display:
    """What is shown, from the events so far."""

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._validation: dict[str, Evaluated] = {}

    def stepped(self, event: Stepped) -> None:
        """One more point of the curve."""
        self._losses.append(event.loss)

    def evaluated(self, event: Evaluated) -> None:
        """The newest validation of a set."""
        self._validation[event.name] = event

    def shown(self, event: Stepped, line: str, share: float) -> RenderableType:
        """The three lines after `event`, of which `line` is the first, `share` of the budget being spent."""
        first = Table.grid(padding=(0, 1))
        first.add_row(ProgressBar(total=1.0, completed=share, width=20), Text(line, no_wrap=True, overflow="crop"))
        curve = Text.assemble(
            (sparkline(self._losses, _CURVE), "cyan"), f"  {self._losses[0]:.4g} → {self._losses[-1]:.4g}"
        )
        facts = [f"learning rate {event.learning_rate:.3g}", f"gradient {event.grad_norm:.3g}", f"memory {_memory()}"]
        facts += [f"{name} {found.loss:.4g} at {found.step:,}" for name, found in self._validation.items()]
        return Group(first, curve, Text("  ".join(facts), style="dim", no_wrap=True, overflow="ellipsis"))


def _memory() -> str:
    """Of this process at its largest."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return f"{peak / 1e9:.2g} GB"
