"""Trained: what the commands that train have to say at their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkit.cli.answer import Answer

if TYPE_CHECKING:
    from lmkit.run import Run


def trained(run: Run) -> Answer:
    """Where the run is, and what to type next."""
    last = run.last_step
    data = {"run": str(run.folder), "step": run.step, "last_step": last, "head_kind": run.head_kind}
    best = f"; the best validation came at step {run.step:,}, and its model is used" if run.step != last else ""
    said = f"{run.folder}: trained to step {last:,}{best}"
    return Answer.of(data, said, f'Next: lmkit predict {run.folder} "..."')
