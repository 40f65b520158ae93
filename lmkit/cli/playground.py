"""`lmkit playground`: a local page on which a run's model answers."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lmkit.cli.answer import Answer
from lmkit.cli.command import Folder, LocalFiles


def playground(
    run: Folder,
    *,
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Of this machine; 0: a free one.")] = 8017,
    local_files: LocalFiles,
) -> Answer:
    """Serve a local page on which a run's model answers.

    It is for this machine alone; Ctrl-C ends it.
    """
    import lmkit.run

    def ready(address: str) -> None:
        sys.stderr.write(f"{run}: open {address} in a browser; Ctrl-C ends it\n")
        sys.stderr.flush()

    lmkit.run.serve(lmkit.run.load(run, local_files=local_files), port=port, ready=ready)
    return Answer.of({"run": str(run)})
