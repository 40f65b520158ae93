"""Trained: what the commands that train have to say at their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkit.cli.answer import Answer

if TYPE_CHECKING:
    from lmkit.run import Run


def trained(run: Run) -> Answer:
    """Where the run is, and what to type next."""
    data = {"run": str(run.folder), "step": run.step, "head_kind": run.head_kind}
    return Answer.of(data, f"{run.folder}: trained to step {run.step:,}", f'Next: lmkit predict {run.folder} "..."')
