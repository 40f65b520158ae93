"""check: everything that can be known of a run before paying for it."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from lmkit.batch import Example
from lmkit.config import read as read_toml
from lmkit.engine.events import Event, Started, Stepped
from lmkit.errors import ConfigError
from lmkit.recipe import Pretraining, read_pretraining
from lmkit.report.curves import sparkline
from lmkit.run.advice import advice
from lmkit.run.pretrain import check_fit, trainee_of
from lmkit.run.projection import project, require, shape_of
from lmkit.run.training import Trainee, engine_of
from lmkit.run.trial import trial
from lmkit.run.tuning import tuned

_OVERFIT_STEPS = 60
_HIGHEST_PRICE = 1e6
_LEARNED = 0.5
"""Of its first loss a batch may have left, seen so often."""


def check(
    recipe: Path | str | Mapping[str, Any] | Pretraining,
    *,
    overrides: Sequence[str] = (),
    local_files: Sequence[Path | str] = (),
    overfit: bool = False,
    tune: bool = False,
    world: int | None = None,
    gpu: str = "h100",
    price: float | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Read the recipe, its plugins and its data, make two real steps, and say what the run will cost.

    `overfit`: also train on one batch alone, whose loss has to fall.  `tune`: also make some steps at each of several
    learning rates and micro-batches.  `world` and `gpu`: also what it would need on so
    many of these, from formulas.  `price` of an hour of this machine: also the money.  `tell` hears of what takes long.
    """
    if isinstance(recipe, (str, Path)) and "task" in read_toml(Path(recipe)):
        raise ConfigError(
            str(recipe), [f"is a task's file, and check is for pre-training: lmkit finetune DIR {recipe} ..."]
        )
    if price is not None and not 0 <= price <= _HIGHEST_PRICE:
        raise ConfigError("--price", [f"expected 0 to {_HIGHEST_PRICE:,.0f} an hour, got {price:g}"])
    read = read_pretraining(recipe, overrides=overrides, local_files=local_files)
    check_fit(read)
    if world is not None:
        require(world=world, gpu=gpu, batch_tokens=read.train.batch_tokens)
    trainee = trainee_of(read)
    trial(trainee, read.train)
    planned = engine_of(trainee, read, observers=(), saving=None)
    parameters = sum(p.numel() for p in trainee.model.parameters())
    muon = planned.optimizer.muon_parameters
    events = _trained(trainee, read, steps=2)
    [started] = [e for e in events if isinstance(e, Started)]
    step = [e for e in events if isinstance(e, Stepped)][-1]
    tokens = _planned_tokens(read, trainee, step)
    flops = started.flops_per_token * tokens if tokens is not None else None
    minutes = read.train.minutes or (tokens / step.tokens_per_second / 60 if tokens is not None else None)
    found: dict[str, Any] = {
        "parameters": parameters,
        "trained_parameters": started.parameters,
        "parts": _parts(trainee),
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
        "minutes": minutes,
        "peak_memory_bytes": _peak_memory(),
        "checkpoint_bytes": 12 * parameters - 4 * muon,
    }
    if price is not None and minutes is not None:
        found["money"] = price * minutes / 60
    found["advice"] = list(advice(read, trainee, found))
    if world is not None:
        layers, width = trainee.model.encoder.layers, trainee.model.encoder.width
        shape = shape_of(parameters, layers, width, started.flops_per_token, muon)
        micro = started.micro_batch_tokens
        batch = read.train.batch_tokens
        found["projection"] = project(shape, world=world, gpu=gpu, batch_tokens=batch, micro_tokens=micro)
    if tune:
        steps = partial(_trained, trainee, read, schedule="constant")
        found["tuning"] = tuned(trainee, read.train, steps, tell)
    if overfit:
        tell(f"one batch, {_OVERFIT_STEPS} times")
        found["overfit"] = _overfit(trainee, read)
    return found


def _trained(trainee: Trainee, recipe: Pretraining, *, steps: int, **changes: Any) -> list[Event]:
    """What is told of some steps, not compiled, validated or saved."""
    budget: dict[str, Any] = {"steps": steps, "tokens": None, "epochs": None, "minutes": None}
    few = attrs.evolve(recipe.train, **budget, evaluate_every_steps=0, compile="off", **changes)
    events: list[Event] = []
    unvalidated = attrs.evolve(trainee, validation={})
    engine_of(unvalidated, attrs.evolve(recipe, train=few), observers=[events.append], saving=None).train()
    return events


@attrs.frozen
class _OneBatch:
    """The same examples at every step, masks and all."""

    these: list[Example]

    def __len__(self) -> int:
        return len(self.these)

    def examples(self, position: int, count: int) -> list[Example]:
        return self.these[:count]


def _overfit(trainee: Trainee, recipe: Pretraining) -> dict[str, Any]:
    """A batch that is seen over and over has to be learned, or something is wrong with the model or its labels."""
    count = max(1, round(recipe.train.batch_tokens / trainee.example_tokens))
    once = attrs.evolve(trainee, source=_OneBatch(trainee.source.examples(0, count)))
    events = _trained(once, recipe, steps=_OVERFIT_STEPS, schedule="constant", spike=0.0)
    losses = [event.loss for event in events if isinstance(event, Stepped)]
    learned = losses[-1] <= _LEARNED * losses[0]
    return {
        "steps": len(losses),
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "curve": sparkline(losses),
        "verdict": "one batch can be learned" if learned else "one batch was not learned: look at the learning rates",
    }


def _parts(trainee: Trainee) -> dict[str, int]:
    """Parameters of the embeddings, of all layers, of what else the encoder has, and of the head."""
    encoder, head = trainee.model.encoder, trainee.model.head
    layers = sum(p.numel() for layer in encoder.layers for p in layer.parameters())
    embedding = encoder.token_embedding.weight.numel()
    rest = sum(p.numel() for p in encoder.parameters()) - layers - embedding
    return {
        "token embedding": embedding,
        "layers": layers,
        "rest of the encoder": rest,
        "head": sum(p.numel() for p in head.parameters()),
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
