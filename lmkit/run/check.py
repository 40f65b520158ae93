"""check: everything that can be known of a run before paying for it."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from lmkit.engine.events import Event, Started, Stepped
from lmkit.recipe import Pretraining, read_pretraining
from lmkit.run.pretrain import check_fit, trainee_of
from lmkit.run.training import Trainee, engine_of
from lmkit.run.trial import trial


def check(
    recipe: Path | str | Mapping[str, Any] | Pretraining,
    *,
    overrides: Sequence[str] = (),
    local_files: Sequence[Path | str] = (),
) -> dict[str, Any]:
    """Read the recipe, its plugins and its data, make two real steps, and say what the run will cost."""
    read = read_pretraining(recipe, overrides=overrides, local_files=local_files)
    check_fit(read)
    trainee = trainee_of(read)
    trial(trainee, read.train)
    planned = engine_of(trainee, read, observers=(), saving=None)
    two = attrs.evolve(
        read.train, steps=2, tokens=None, epochs=None, minutes=None, evaluate_every_steps=0, compile="off"
    )
    events: list[Event] = []
    unvalidated = attrs.evolve(trainee, validation={})
    engine_of(unvalidated, attrs.evolve(read, train=two), observers=[events.append], saving=None).train()
    [started] = [e for e in events if isinstance(e, Started)]
    step = [e for e in events if isinstance(e, Stepped)][-1]
    tokens = _planned_tokens(read, trainee, step)
    flops = started.flops_per_token * tokens if tokens is not None else None
    return {
        "parameters": sum(p.numel() for p in trainee.model.parameters()),
        "trained_parameters": started.parameters,
        "vocabulary": trainee.parts.tokenizer.vocabulary.size,
        "blocks_per_epoch": len(trainee.source),
        "device": started.device,
        "precision": started.precision,
        "compile": planned.choices.compile,
        "threads": started.threads,
        "loss_at_start": next(e for e in events if isinstance(e, Stepped)).loss,
        "tokens_per_second": step.tokens_per_second,
        "flops_per_token": started.flops_per_token,
        "tokens": tokens,
        "epochs": None if tokens is None else tokens / (len(trainee.source) * trainee.example_tokens),
        "flops": flops,
        "minutes": read.train.minutes or (tokens / step.tokens_per_second / 60 if tokens is not None else None),
        "peak_memory_bytes": _peak_memory(),
    }


def _planned_tokens(recipe: Pretraining, trainee: Trainee, step: Stepped) -> int | None:
    """Tokens of the whole budget; of one in minutes, what two steps without compiling let expect."""
    settings = recipe.train
    if settings.minutes is not None:
        return int(60 * settings.minutes * step.tokens_per_second)
    if settings.steps is not None:
        return settings.steps * settings.batch_tokens
    if settings.epochs is not None:
        return int(settings.epochs * len(trainee.source) * trainee.example_tokens)
    return settings.budget_tokens()


def _peak_memory() -> int:
    """Bytes of the process at its largest, the interpreter and torch included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
