"""What this distribution adds to lmkit: names and import paths; a component is imported when a run uses it."""

from lmkit import hookimpl


@hookimpl
def lmkit_tokenizers() -> dict[str, str]:
    return {"wordpiece": "lmkit_bert.wordpiece:WordPiece"}


@hookimpl
def lmkit_encoders() -> dict[str, str]:
    return {"bert": "lmkit_bert.bert:Bert", "modernbert": "lmkit_bert.modernbert:ModernBert"}


@hookimpl
def lmkit_objectives() -> dict[str, str]:
    return {"mlm": "lmkit_bert.mlm:MaskedLanguageModelling"}


@hookimpl
def lmkit_tasks() -> dict[str, str]:
    return {
        "fill-mask": "lmkit_bert.fill_mask:FillMask",
        "minimal-pairs": "lmkit_bert.minimal_pairs:MinimalPairs",
    }
