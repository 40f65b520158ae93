"""`lmkit check`: everything that can be known of a run before paying for it."""

from __future__ import annotations

from lmkit.cli.answer import Answer
from lmkit.cli.command import Changes, LocalFiles, Recipe
from lmkit.cli.table import table


def check(recipe: Recipe, *, overrides: Changes, local_files: LocalFiles) -> Answer:
    """Say what a run.toml will cost, and what is wrong with it.

    Reads the config, the plugins and the data, and makes two real steps.
    """
    import lmkit.run

    found = lmkit.run.check(recipe, overrides=overrides, local_files=local_files)
    return Answer.of(found, *table(found))
