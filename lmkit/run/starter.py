"""Starter: a run.toml or a task's file to begin with, every default in it and explained."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from lmkit.config import commented
from lmkit.errors import ConfigError, FitError, LmkitError, PluginError, UnknownComponentError
from lmkit.interfaces import Objective, Tokenizer
from lmkit.lora import Lora
from lmkit.model import why_not
from lmkit.registry import Component, Registry
from lmkit.run.sizes import Size, fields_of, size_of
from lmkit.spelling import did_you_mean

_HEAD = "# For: {use}. Every value below is the default{but}; [data] is an example.\n\n"
_LORA = "# Without the first sign of each line: low-rank updates are trained instead of the encoder's matrices.\n"
_PAGE = ("To be, or not to be, that is the question.",)


def starter(name: str, *, size: str | None = None, local_files: Sequence[Path | str] = ()) -> str:
    """TOML text that pre-trains the objective `name`, or fine-tunes the task of that name.

    `size` is one of `sizes.SIZES`, or parameters such as "30M", for the shape of a model that is pre-trained.

    Raises UnknownComponentError for neither; ConfigError for a size that is none, or of a task; FitError where no
    installed encoder or tokenizer fits the objective.
    """
    registry = Registry(local_files)
    kinds = [c.kind for c in registry.components() if name in (c.name, f"{c.distribution}:{c.name}")]
    top = {"": ({"seed": 1, "plugins": [str(file) for file in local_files], "reporters": []}, None)}
    if "objective" in kinds:
        use = "lmkit check THIS, lmkit pretrain THIS --run DIR"
        but = "" if size is None else f", but for the size {size}"
        return _HEAD.format(use=use, but=but) + commented(
            top | _pretraining(registry, registry.find("objective", name), size)
        )
    if "task" in kinds:
        if size is not None:
            raise ConfigError("--size", [f'"{name}" is a task: its model is the run that it fine-tunes'])
        use = "lmkit finetune DIR THIS --run DIR2"
        lora = "".join(f"# {line}\n" for line in commented({"lora": ({}, Lora())}).splitlines())
        return (
            f"{_HEAD.format(use=use, but='')}{commented(top | _finetuning(registry.find('task', name)))}\n{_LORA}{lora}"
        )
    raise UnknownComponentError(f'no objective or task is named "{name}". {_installed(registry, name)}')


def choices(*, local_files: Sequence[Path | str] = ()) -> dict[str, dict[str, str]]:
    """What `starter` knows: under "objectives", to pre-train, and "tasks", to fine-tune, each name and what it is."""
    registry = Registry(local_files)
    found: dict[str, dict[str, str]] = {"objectives": {}, "tasks": {}}
    for kind, names in (("objective", found["objectives"]), ("task", found["tasks"])):
        for component, cls in sorted(_loaded(registry, kind), key=lambda pair: pair[0].use):
            names[component.use] = re.split(r";|\.$|\.?\n", (cls.__doc__ or "").strip())[0]
    return found


def _installed(registry: Registry, name: str) -> str:
    of = {k: sorted(c.use for c in registry.components() if c.kind == k) for k in ("objective", "task")}
    listed = f"Objectives: {', '.join(of['objective']) or 'none'}; tasks: {', '.join(of['task']) or 'none'}."
    return listed + did_you_mean(name, of["objective"] + of["task"])


def _pretraining(registry: Registry, objective: Component, size: str | None) -> dict[str, tuple[dict[str, Any], Any]]:
    from lmkit.checkpoint import Checkpointing
    from lmkit.data.settings import Data
    from lmkit.engine.settings import Training

    encoder = _fitting_encoder(registry, objective)
    tokenizer, fields = _fitting_tokenizer(registry, objective, encoder)
    data = Data(train=["books/train/**/*.md"], validation=["books/validation/**/*.md"])
    sized = partial(_sized, None if size is None else size_of(size))
    return {
        "tokenizer": _table(tokenizer, {**sized("tokenizer", tokenizer.load().Config), **fields}),
        "data": ({}, data),
        "encoder": _table(encoder, sized("encoder", encoder.load().Config)),
        "objective": _table(objective),
        "train": ({}, Training(steps=1000, **sized("train", Training))),
        "checkpoint": ({}, Checkpointing()),
    }


def _sized(size: Size | None, section: str, config: type[Any]) -> dict[str, Any]:
    return {} if size is None else fields_of(size, config, section)


def _finetuning(task: Component) -> dict[str, tuple[dict[str, Any], Any]]:
    from lmkit.checkpoint import Checkpointing
    from lmkit.data.settings import Data
    from lmkit.engine.settings import Training

    data = Data(train=["train.jsonl"], validation=["validation.jsonl"])
    return {
        "task": _table(task),
        "data": ({}, data),
        "train": ({}, Training(epochs=3, batch_tokens=2048, learning_rate=0.0003, matrix_learning_rate=0.002)),
        "checkpoint": ({}, Checkpointing()),
    }


def _table(component: Component, fields: Mapping[str, Any] = MappingProxyType({})) -> tuple[dict[str, Any], Any]:
    """The component's table with its defaults but for `fields`; those that have none are left to fill in."""
    config = component.load().Config
    try:
        return {"use": component.use}, config(**fields)
    except TypeError:  # fields without a default
        required = {field.alias: None for field in attrs.fields(config) if field.default is attrs.NOTHING}
        return {"use": component.use, **required}, None


def _fitting_encoder(registry: Registry, objective: Component) -> Component:
    """The first encoder that attends as the objective needs, of the same distribution before any other."""
    cls: type[Objective[Any]] = objective.load()
    for component, encoder in _loaded(registry, "encoder", objective.distribution):
        if why_not(encoder, cls) is None:
            return component
    context = " and reads a context" if cls.needs_context else ""
    raise FitError(f"{objective} needs an encoder with {cls.attention} attention{context}; none is installed")


def _fitting_tokenizer(
    registry: Registry, objective: Component, encoder: Component
) -> tuple[Component, Mapping[str, Any]]:
    """The first tokenizer with the special tokens that the objective needs, of the same distribution first; and the
    fields by which it gets them.

    Which it has is known once it is trained, so each is trained on a line.
    """
    cls, reasons = objective.load(), []
    for component, tokenizer in _loaded(registry, "tokenizer", objective.distribution, encoder.distribution):
        fields = fields_for(cls, tokenizer)
        try:
            cls(cls.Config(), tokenizer.train(tokenizer.Config(**fields), _PAGE).vocabulary)
        except (LmkitError, TypeError) as error:
            reasons.append(f"\n  {component}: {error}")
        else:
            return component, fields
    raise FitError(f"no installed tokenizer fits {objective}{''.join(reasons)}")


def fields_for(objective: type[Objective[Any]], tokenizer: type[Tokenizer]) -> dict[str, Any]:
    """Of the objective's `tokenizer_fields` those that the tokenizer's Config has."""
    known = attrs.fields_dict(tokenizer.Config)
    return {name: value for name, value in objective.tokenizer_fields.items() if name in known}


def _loaded(registry: Registry, kind: str, *preferred: str) -> Iterator[tuple[Component, type[Any]]]:
    """Components of a kind that can be imported, those of the preferred distributions first."""
    order = {distribution: rank for rank, distribution in reversed(list(enumerate(preferred)))}
    of_kind = [component for component in registry.components() if component.kind == kind]
    for component in sorted(of_kind, key=lambda c: order.get(c.distribution, len(preferred))):
        try:
            yield component, component.load()
        except PluginError:
            continue
