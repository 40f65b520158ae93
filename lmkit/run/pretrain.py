"""pretrain: text in, a trained run out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmkit.engine.distributed import Processes, joined
from lmkit.engine.events import Observer
from lmkit.errors import FitError
from lmkit.interfaces import Objective, Tokenizer
from lmkit.model import build_model, why_not
from lmkit.recipe import Pretraining, read_pretraining
from lmkit.registry import Registry, default_registry
from lmkit.run.folder import create, require_new
from lmkit.run.load import load, starting_weights
from lmkit.run.parts import Parts
from lmkit.run.restart import restarted
from lmkit.run.run import Run
from lmkit.run.texts import fingerprint_of, texts_of, tokenizer_of
from lmkit.run.training import Trainee, locked, train
from lmkit.run.trial import trial


def pretrain(
    recipe: Path | str | Mapping[str, Any] | Pretraining,
    *,
    run: Path | str,
    start_from: Path | str | Run | None = None,
    overrides: Sequence[str] = (),
    local_files: Sequence[Path | str] = (),
    observers: Sequence[Observer] = (),
    quiet: bool = False,
) -> Run:
    """Train a model on text, into the new folder `run`.

    `recipe` is a run.toml, tables like one, or a Pretraining; `overrides` are such as "encoder.layers=6".  `start_from`
    is another run, whose tokenizer is kept and whose weights the model starts at.
    Raises ConfigError, DataError and FitError for bad input, before anything is written; Interrupted after a signal,
    TrainingAlarm for a loss that is no number.
    """
    folder = Path(run)
    read = read_pretraining(recipe, overrides=overrides, local_files=local_files)
    check_fit(read)
    files = [plugin.file for plugin in read.plugins]
    with joined(read.train.parallel, read.train.collective_minutes) as processes:
        elsewhere = start_from is not None
        if again := restarted(folder, read, processes, observers=observers, quiet=quiet, begins_elsewhere=elsewhere):
            return again
        processes.lead(lambda: require_new(folder))
        _pretrain(folder, read, recipe, start_from, processes=processes, observers=observers, quiet=quiet)
        processes.wait()
        return load(folder, local_files=files)


def _pretrain(
    folder: Path,
    read: Pretraining,
    recipe: object,
    start_from: Path | str | Run | None,
    *,
    processes: Processes,
    observers: Sequence[Observer],
    quiet: bool,
) -> None:
    start = None if start_from is None else start_from if isinstance(start_from, Run) else load(start_from)
    trainee = trainee_of(read, start)
    trial(trainee, read.train)
    processes.lead(lambda: create(folder, read, recipe, None if start is None else start.folder))
    files = [plugin.file for plugin in read.plugins]
    registry = Registry(files) if files else default_registry()
    with locked(folder, processes):
        train(
            folder,
            trainee,
            read,
            registry=registry,
            quiet=quiet,
            observers=observers,
            asks=processes.world == 1 or read.train.parallel == "ddp",
            new=True,
            save_first=start is not None,
        )


def check_fit(recipe: Pretraining) -> None:
    """Raise FitError for an objective that this encoder cannot train on, before any data is read."""
    objective: type[Objective[Any]] = recipe.objective.component.load()
    reason = why_not(recipe.encoder.component.load(), objective)
    if reason:
        raise FitError(reason)


def trainee_of(
    recipe: Pretraining,
    start: Run | None = None,
    *,
    known: tuple[Tokenizer, Mapping[str, Any]] | None = None,
    fingerprints: Mapping[str, Any] | None = None,
) -> Trainee:
    """The model of a recipe and its text; of a checkpoint, `known` is its tokenizer with the record.

    Stores that `fingerprints` names are opened as they are, without a look at the text.
    """
    if start is not None:
        known = start.tokenizer, start.parts.tokenizer_record
    tokenizer, record = known or tokenizer_of(recipe.tokenizer, recipe.data)
    parts = Parts(tokenizer=tokenizer, tokenizer_record=record, encoder=recipe.encoder, objective=recipe.objective)
    model = build_model(
        parts.encoder_class(),
        recipe.encoder.config,
        parts.build_objective(),
        tokenizer.vocabulary,
        seed=recipe.seed,
        longest=recipe.train.block_tokens,
    )
    if start is not None:
        starting_weights(model, start)
    model.freeze(recipe.train.frozen_layers)
    texts = texts_of(
        recipe.data,
        tokenizer,
        block_tokens=recipe.train.block_tokens,
        seed=recipe.seed,
        fingerprints=fingerprints,
    )
    return Trainee(
        parts=parts,
        model=model,
        source=texts.stream,
        validation=texts.validation,
        example_tokens=recipe.train.block_tokens,
        fingerprints={**texts.fingerprints(), "tokenizer": fingerprint_of(tokenizer)},
        static_shapes=True,
    )
