"""`lmkit resume`: a run goes on where it was stopped."""

from __future__ import annotations

from lmkit.cli.answer import Answer
from lmkit.cli.command import Changes, Folder, LocalFiles
from lmkit.cli.trained import trained


def resume(run: Folder, *, overrides: Changes, local_files: LocalFiles, quiet: bool = False) -> Answer:
    """Go on from a run's newest whole checkpoint, to the same bits."""
    import lmkit.run

    return trained(lmkit.run.resume(run, overrides=overrides, local_files=local_files, quiet=quiet))
