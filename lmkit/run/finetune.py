"""finetune: a task, learned on a run's encoder, and on its head where the kinds agree."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lmkit.engine.best import Judge
from lmkit.engine.distributed import joined
from lmkit.engine.events import Observer
from lmkit.errors import DataError, FitError
from lmkit.interfaces import Encoder, Task
from lmkit.lora.adapters import check_adaptable
from lmkit.model import Model, check_length, join, why_not
from lmkit.recipe import Finetuning, read_finetuning
from lmkit.registry import Registry, default_registry
from lmkit.run.examples import Read, Rows, examples_of, places, repeated, split, training_rows, validation_rows
from lmkit.run.folder import create, require_new
from lmkit.run.load import load
from lmkit.run.parts import Parts
from lmkit.run.restart import restarted
from lmkit.run.run import BATCH_TOKENS, Run
from lmkit.run.scores import scored
from lmkit.run.texts import fingerprint_of
from lmkit.run.training import Trainee, locked, train
from lmkit.run.trial import trial

_FEW = 5
"""Held-out rows that say little: one of them is a fifth of a score."""


def finetune(
    start: Path | str | Run,
    recipe: Path | str | Mapping[str, Any] | Finetuning,
    *,
    run: Path | str,
    overrides: Sequence[str] = (),
    local_files: Sequence[Path | str] = (),
    observers: Sequence[Observer] = (),
    quiet: bool = False,
) -> Run:
    """Train a task on the encoder of `start`, into the new folder `run`.

    The head of `start` is kept where the task's objective has a head of the same kind, and made fresh elsewhere.
    Raises what `pretrain` raises.
    """
    folder = Path(run)
    read = read_finetuning(recipe, overrides=overrides, local_files=local_files)
    begun = start if isinstance(start, Run) else load(start, local_files=local_files)
    files = [plugin.file for plugin in read.plugins]
    registry = Registry(files) if files else default_registry()
    with joined(read.train.parallel, read.train.collective_minutes) as processes:
        if again := restarted(folder, read, processes, observers=observers, quiet=quiet, begins_elsewhere=True):
            return again
        processes.lead(lambda: require_new(folder))
        trainee = trainee_of(read, begun)
        trial(trainee, read.train)
        processes.lead(lambda: create(folder, read, recipe))
        with locked(folder, processes):
            train(folder, trainee, read, registry=registry, quiet=quiet, observers=observers, new=True, save_first=True)
        processes.wait()
        return load(folder, local_files=files)


def trainee_of(recipe: Finetuning, start: Run) -> Trainee:
    """The model that a task trains, and its rows; `start` is the run it comes from, or a checkpoint of its own."""
    cls: type[Task] = recipe.task.component.load()
    task = cls(recipe.task.config, start.tokenizer)
    training, held = training_rows(recipe.data), dict[str, Read]()
    if recipe.data.held_out:
        if len(training) < 2:
            where = places(s.path for s in recipe.data.sources)
            raise DataError(f"{where}: {len(training)} rows, of which no share can be held out for validation")
        training, rest = split(training, recipe.data.held_out)
        if len(rest) < _FEW:
            warnings.warn(
                f"data.validation: {len(rest)} of {len(rest) + len(training)} rows are held out, too few to judge by",
                stacklevel=3,
            )
        held["validation"] = examples_of(rest, task, recipe.data, where="data.validation")
    read = examples_of(repeated(training), task, recipe.data, where=places(s.path for s in recipe.data.sources))
    found = {*read.labels, *(label for some in held.values() for label in some.labels)}  # a rare one may be held out
    labels = tuple(task.all_labels(tuple(sorted(found))))
    for name, rows in validation_rows(recipe.data).items():
        held[name] = examples_of(rows, task, recipe.data, where=f"data.validation {name}", labels=labels)
    parts = Parts(
        tokenizer=start.tokenizer,
        tokenizer_record=start.parts.tokenizer_record,
        encoder=start.parts.encoder,
        objective=None,
        task=recipe.task,
        labels=labels,
    )
    source, validation = Rows(read.examples, recipe.seed), {n: Rows(some.examples, 0) for n, some in held.items()}
    longest = "the longest example of the task, which its own settings bound, has"
    check_length(start.module.encoder, max(some.longest for some in (source, *validation.values())), longest)
    model = _model(parts, start, recipe.seed)
    model.freeze(recipe.train.frozen_layers)
    if recipe.lora is not None:
        if recipe.train.frozen_layers or recipe.train.layer_decay < 1:
            raise FitError("[lora] adapts every layer alike: leave out train.frozen_layers and train.layer_decay")
        check_adaptable(model)
    return Trainee(
        parts=parts,
        model=model,
        source=source,
        validation={name: some.examples for name, some in held.items()},
        example_tokens=source.mean_tokens,
        fingerprints={
            "tokenizer": fingerprint_of(start.tokenizer),
            "examples": source.fingerprint,
            "labels": list(labels),
            "validation": {name: some.fingerprint for name, some in validation.items()},
        },
        judge=Judge(metrics=_metrics(task, model, held), by=task.metric) if held else None,
        static_shapes=False,
    )


def _metrics(task: Task, model: Model, held: Mapping[str, Read]) -> Callable[[str], Mapping[str, float]]:
    """What a task that has a metric makes of its answers to the rows of a validation set."""

    def metrics(name: str) -> Mapping[str, float]:
        if task.metric is None:
            return {}
        rows = held[name].rows
        answers = task.predict(model.encoder, model.head, rows, batch_tokens=BATCH_TOKENS)
        found = scored(task, rows, answers, intervals=False).metrics()
        if task.metric not in found:
            raise FitError(f'task "{task.name}" has no metric "{task.metric}", but {", ".join(found)}')
        return found

    return metrics


def _model(parts: Parts, start: Run, seed: int) -> Model:
    objective = parts.build_objective()
    encoder: Encoder = copy.deepcopy(start.module.encoder)  # the run that was given stays as it is
    reason = why_not(type(encoder), objective)
    if reason:
        raise FitError(reason)
    learned, now = start.module.objective, objective.attention
    before = "mixed" if learned.needs_context else learned.attention  # a context is read both ways, what follows is not
    if before not in (now, "mixed"):  # who has read both ways reads either
        warnings.warn(f"{start.folder} was trained with {before} attention, this task reads with {now}", stacklevel=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = objective.build_head(encoder)
    if objective.head_kind == start.head_kind:
        if parts.labels == start.parts.labels:
            head.load_state_dict(start.module.head.state_dict(), strict=True)
        else:
            warnings.warn(f"{start.folder} knows other labels: this task gets a fresh head", stacklevel=4)
    for parameter in encoder.parameters():
        parameter.requires_grad_(True)
    return join(encoder, objective, head)
