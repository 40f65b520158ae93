"""What this distribution adds to lmkit: names and import paths; a component is imported when a run uses it."""

from lmkit import hookimpl


@hookimpl
def lmkit_tokenizers() -> dict[str, str]:
    return {
        "bpe": "lmkit_gpt.bpe:BytePairEncoding",
        "unigram": "lmkit_gpt.unigram:Unigram",
        "bytes": "lmkit_gpt.bytes:Bytes",
    }


@hookimpl
def lmkit_encoders() -> dict[str, str]:
    return {"gpt2": "lmkit_gpt.gpt2:Gpt2", "qwen3": "lmkit_gpt.qwen3:Qwen3"}


@hookimpl
def lmkit_objectives() -> dict[str, str]:
    return {
        "clm": "lmkit_gpt.clm:CausalLanguageModelling",
        "prefix-lm": "lmkit_gpt.prefix_lm:PrefixLanguageModelling",
        "fim": "lmkit_gpt.fim:FillInTheMiddle",
    }


@hookimpl
def lmkit_tasks() -> dict[str, str]:
    return {"completion": "lmkit_gpt.completion:Completion"}
