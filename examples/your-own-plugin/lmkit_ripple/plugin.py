"""What this distribution adds to lmkit: names and import paths; a component is imported when a run uses it."""

from lmkit import hookimpl


@hookimpl
def lmkit_encoders() -> dict[str, str]:
    return {"ripple": "lmkit_ripple.encoder:Ripple"}


@hookimpl
def lmkit_objectives() -> dict[str, str]:
    return {"reorder": "lmkit_ripple.objective:Reorder"}
