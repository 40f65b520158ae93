"""`lmkit doctor`: what a bug report needs."""

from __future__ import annotations

from lmkit.cli.answer import Answer
from lmkit.cli.table import table


def doctor() -> Answer:
    """Show versions, machine and plugins: what a bug report needs."""
    from lmkit.run.diagnosis import diagnosis

    found = diagnosis()
    return Answer.of(found, *table(found))
