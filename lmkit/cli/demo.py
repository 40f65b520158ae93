"""`lmkit demo`: all of it on a bundled book, offline, in minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lmkit.cli.answer import Answer


def demo(
    *,
    folder: Annotated[
        Path | None, typer.Option("--run", metavar="DIR", help="A new folder for the runs; by default runs/demo.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Minutes that it may take.", min=0.1)] = 3.0,
    quiet: bool = False,
) -> Answer:
    """Show all of it on a bundled book, offline, in three minutes.

    Pre-trains two small models, asks them, fine-tunes one, and says what to type next.
    """
    from lmkit.run.demo import Demo

    story = Demo(folder, minutes=minutes, quiet=quiet)
    return Answer(story.tell(), story.data)
