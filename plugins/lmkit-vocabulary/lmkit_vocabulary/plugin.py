"""What this distribution adds to lmkit: names and import paths; a component is imported when a run uses it."""

from lmkit import hookimpl


@hookimpl
def lmkit_tasks() -> dict[str, str]:
    return {"vocabulary": "lmkit_vocabulary.vocabulary:Vocabulary"}
