"""What this distribution adds to lmkit: names and import paths; a component is imported when a run uses it."""

from lmkit import hookimpl


@hookimpl
def lmkit_encoders() -> dict[str, str]:
    return {"t5": "lmkit_seq2seq.t5:T5"}


@hookimpl
def lmkit_objectives() -> dict[str, str]:
    return {
        "seq2seq": "lmkit_seq2seq.seq2seq:Seq2Seq",
        "span-denoising": "lmkit_seq2seq.span_denoising:SpanDenoising",
    }


@hookimpl
def lmkit_tasks() -> dict[str, str]:
    return {"translation": "lmkit_seq2seq.translation:Translation"}
