"""`lmkit data`: the text that a run reads."""

from __future__ import annotations

from lmkit.cli.answer import Answer
from lmkit.cli.command import Changes, LocalFiles, Recipe
from lmkit.cli.table import table


def build(recipe: Recipe, *, overrides: Changes, local_files: LocalFiles) -> Answer:
    """Train the tokenizer and store the tokens, which later runs on the same text share."""
    import lmkit.run

    found = lmkit.run.build_data(recipe, overrides=overrides, local_files=local_files)
    return Answer.of(found, *table(found))
