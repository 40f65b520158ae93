"""What this distribution adds to lmkit: names and import paths; a component is imported when a run uses it."""

from lmkit import hookimpl


@hookimpl
def lmkit_tokenizers() -> dict[str, str]:
    return {"transformers": "lmkit_transformers.tokenizer:AnyTokenizer"}


@hookimpl
def lmkit_encoders() -> dict[str, str]:
    return {"transformers": "lmkit_transformers.encoder:AnyEncoder"}


@hookimpl
def lmkit_formats() -> dict[str, str]:
    return {"transformers": "lmkit_transformers.format:TransformersFormat"}
