"""import: a model of other software becomes a run, from which fine-tuning and further pre-training start."""

from __future__ import annotations

import os
import secrets
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lmkit.checkpoint import save
from lmkit.config import dumps, structure, unstructure
from lmkit.engine.state import State
from lmkit.errors import LmkitError, PluginError, RunError
from lmkit.interfaces import Format, Tokenizer, Trained, Workshop
from lmkit.model import build_model
from lmkit.recipe import Chosen
from lmkit.registry import Kind, Registry, default_registry
from lmkit.registry.component import told
from lmkit.run.folder import CONFIG, IMPORTED, METRICS, require_new
from lmkit.run.load import load
from lmkit.run.parts import Parts
from lmkit.run.recorded import environment
from lmkit.run.run import Run

HUB = "hub:"
"""Before the name of a model that is to be fetched."""
_LONGEST = 1024  # tokens of a block that a model without a limit is said to read


def import_model(
    path: Path | str, *, run: Path | str, format: str = "transformers", local_files: Sequence[Path | str] = ()
) -> Run:
    """The model in the folder `path` as the new run `run`; what is not as it was there is warned about.

    "hub:NAME" as `path` fetches what is published under that name; nothing else uses the network.
    Raises DataError where it is not of that format, FitError where lmkit has nothing that computes the same.
    """
    folder, source = Path(run), Path(path)
    require_new(folder)
    named = str(path).startswith(HUB)
    if not named and not source.is_dir():
        raise RunError(f"{source}: {'not a folder' if source.exists() else 'no such folder'}: expected one to import")
    registry = Registry(local_files) if local_files else default_registry()
    component = registry.find("format", format)
    built: dict[int, Parts] = {}

    def build(tokenizer: Tokenizer, encoder: str, config: Any, **purpose: Any) -> Trained:
        parts = _parts(registry, tokenizer, encoder, config, **purpose)
        made_for, vocabulary = parts.build_objective(), tokenizer.vocabulary
        model = build_model(parts.encoder_class(), config, made_for, vocabulary, seed=1, longest=1)
        made = Trained(
            tokenizer=tokenizer,
            encoder=model.encoder,
            objective=model.objective,
            head=model.head,
            labels=parts.labels,
        )
        built[id(made)] = parts
        return made

    workshop = Workshop(tokenizers=_classes(registry, "tokenizer"), encoders=_classes(registry, "encoder"), build=build)
    reader: Format = component.load()()
    try:
        source = reader.fetch(str(path).removeprefix(HUB)) if named else source
        found = reader.read(source, workshop)
    except LmkitError:
        raise
    except Exception as error:
        raise PluginError(f"{component} cannot read {source}: {told(error)}") from error
    for note in found.notes:
        warnings.warn(note, stacklevel=2)
    _write(
        folder,
        found.model,
        built[id(found.model)],
        {"format": format, "path": str(path if named else source.resolve())},
    )
    return load(folder, local_files=local_files)


def _parts(
    registry: Registry,
    tokenizer: Tokenizer,
    encoder: str,
    config: Any,
    *,
    objective: str | None = None,
    task: str | None = None,
    labels: Sequence[str] = (),
    **options: Any,
) -> Parts:
    """What a model is made of; `options` are fields of the task's or the objective's Config that are not default."""
    own = registry.find("tokenizer", type(tokenizer).name)
    chosen: dict[Kind, Chosen] = {}
    purposes: tuple[tuple[Kind, str | None], ...] = (("objective", objective), ("task", task))
    for kind, name in purposes:
        if name is not None:
            component = registry.find(kind, name)
            cls = component.load().Config
            chosen[kind] = Chosen(component, structure(cls, options, source=name, path=kind, owner=str(component)))
    return Parts(
        tokenizer=tokenizer,
        tokenizer_record={
            "kind": "tokenizer",
            "name": own.name,
            "distribution": own.distribution,
            "version": own.version,
            "state_version": type(tokenizer).state_version,
            "config": {},
        },
        encoder=Chosen(registry.find("encoder", encoder), config),
        objective=chosen.get("objective"),
        task=chosen.get("task"),
        labels=tuple(labels),
    )


def _classes(registry: Registry, kind: Kind) -> dict[str, type[Any]]:
    """Name -> class of the installed components of a kind; one that cannot be imported is warned about."""
    classes: dict[str, type[Any]] = {}
    for component in registry.components():
        if component.kind == kind:
            try:
                classes[component.use] = component.load()
            except PluginError as error:
                warnings.warn(f"left out: {error}", stacklevel=3)
    return classes


def _write(folder: Path, model: Trained, parts: Parts, origin: Mapping[str, Any]) -> None:
    """A run's folder whose one checkpoint, of step 0, is the imported model."""
    chosen = [c for c in (parts.encoder, parts.objective, parts.task) if c is not None]
    tables: dict[str, Any] = {c.component.kind: {"use": c.component.use, **unstructure(c.config)} for c in chosen}
    config = {IMPORTED: dict(origin), "tokenizer": {"use": parts.tokenizer_record["name"]}, **tables}
    weights = {f"encoder.{name}": tensor for name, tensor in model.encoder.state_dict().items()}
    weights |= {f"head.{name}": tensor for name, tensor in model.head.state_dict().items()}
    text, folder = dumps(config), folder.absolute()
    temporary = folder.with_name(f".{folder.name}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        temporary.mkdir(parents=True)
        (temporary / CONFIG).write_text(text, encoding="utf-8")
        (temporary / METRICS).touch()
        save(
            temporary,
            0,
            tensors={"model": weights},
            state={
                "engine": State().to_json(),
                "seed": 1,
                "labels": list(parts.labels),
                "data": {},
                "block_tokens": min(model.encoder.longest or _LONGEST, _LONGEST),
                "config": config,
                "environment": environment(torch.get_num_threads(), 1),
            },
            components=parts.records(),
            folders={"tokenizer": parts.tokenizer.save},
            keep=1,
        )
        if folder.exists():
            folder.rmdir()  # which is empty
        os.rename(temporary, folder)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
