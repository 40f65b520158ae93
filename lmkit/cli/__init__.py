"""The commands: the verbs of `lmkit.run`, one file each. Answers go to stdout, progress and what went wrong to stderr.

    arguments --typer--> command --Answer--> stdout, in words or as one JSON object          exit status 0, 1, 2 or 3

A command imports what it needs when it runs, so that help and the list of plugins come at once.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point of `lmkit` and of `python -m lmkit`."""
    from lmkit.cli.streams import open_closed_streams

    open_closed_streams()  # before anything else is opened
    from lmkit.cli.app import run
    from lmkit.cli.memory import keep_freed_memory
    from lmkit.cli.waiting import wait_politely

    wait_politely()
    keep_freed_memory()
    sys.exit(run(sys.argv[1:]))
