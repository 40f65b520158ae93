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
    profile = run.folder / "profile.md"
    told = [f"Where the time of a step went: {profile}"] if profile.exists() else []
    return Answer.of(data, said, *told, f"Next: {next_command(run)}")


def next_command(run: Run) -> str:
    """A command that works for this run: its task's, one that reads its head, or fine-tuning where none does."""
    from lmkit.errors import FitError

    try:
        task, named = run.task(), ""
    except FitError:
        able = sorted(run.verbs().values())
        if not able or able == ["embedding"]:
            return f"lmkit finetune {run.folder} TASK.toml --run DIR"
        task, named = run.task(able[0]), f" --task {able[0]}"
    # A task with a verb answers a text; any other wants rows with more than that.
    return f"lmkit predict {run.folder}{named} " + ("--rows FILE" if task.verb is None else '"..."')
