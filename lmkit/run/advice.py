"""Advice: what a person would want to know before paying, a sentence each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lmkit.data.stream import Stream
from lmkit.engine.device import can_compile
from lmkit.recipe import Pretraining
from lmkit.run.training import Trainee

_MANY_EPOCHS = 8
_LOOKED_AT = 512


def advice(recipe: Pretraining, trainee: Trainee, found: Mapping[str, Any]) -> Iterator[str]:
    """Sentences about a recipe of which `found` has the measures, as `check` gives them; none where all is well."""
    train, source = recipe.train, trainee.source
    examples = source.examples(0, min(_LOOKED_AT, len(source)))
    room = sum(example.capacity or len(example.tokens) for example in examples)
    filler = 1 - sum(len(example.tokens) for example in examples) / room
    if filler > 0.2:
        yield (
            f"{filler:.0%} of the blocks is filler: documents are short and do not fit together; a longer "
            f"train.block_tokens than {train.block_tokens} leaves less"
        )
    epochs = found["epochs"]
    if epochs is not None and epochs > _MANY_EPOCHS:
        yield (
            f"the budget reads the text {epochs:.0f} times: beyond four passes repeated text teaches little "
            f"(Muennighoff et al. 2023); more text, or a smaller budget"
        )
    if isinstance(source, Stream) and train.batch_tokens > len(source) * trainee.example_tokens:
        yield f"a step of {train.batch_tokens:,} tokens has more than the whole text: lower train.batch_tokens"
    longest = trainee.model.encoder.longest
    if longest is not None and longest > 2 * train.block_tokens:
        yield (
            f"the encoder reads up to {longest} tokens, but is trained on at most {train.block_tokens}: longer texts "
            f"are read badly; lower encoder.positions, or raise train.block_tokens"
        )
    unknown = trainee.parts.tokenizer.vocabulary.special.get("unk")
    if unknown is not None:
        share = float(np.mean(np.concatenate([example.tokens for example in examples]) == unknown))
        if share > 0.01:
            yield f"{share:.1%} of the tokens are unknown to the tokenizer: train it on this text"
    if (load := _load()) > 1.5 * (cores := os.cpu_count() or 1) and found["threads"] > 1:
        yield (
            f"other work wants the processor too (a load of {load:.1f} on {cores} cores): threads wait for each other "
            f"then, and train.threads=1 may be faster than {found['threads']}"
        )
    if (reason := can_compile(found["device"])) and train.compile == "auto":
        yield f"the run is not compiled, which costs speed: {reason}"
    if (have := _memory()) and found["peak_memory_bytes"] > 0.9 * have:
        yield "two steps took nearly all of this machine's memory: lower train.micro_batch_tokens"
    if not recipe.data.validation:
        yield "nothing validates the run: name files, or a share such as 0.01, in data.validation"


def _load() -> float:
    """Processes that wanted the processor in the last minute, on average."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return 0.0


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
