"""Recipe: a run.toml as attrs classes, with its components chosen and every path absolute.

    run.toml or Python --override--> tables --choose, check--> Pretraining --resolved_toml--> config.toml

Whatever the source, it goes through tables once, so Python and TOML meet the same checks; a config that Python built is
built a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs
from attrs import validators

from lmkit.checkpoint.settings import Checkpointing
from lmkit.config import Problems, collect, commented, dumps, override, read, unstructure
from lmkit.config.strict import got
from lmkit.data.settings import Data
from lmkit.engine.settings import Training
from lmkit.errors import PluginError
from lmkit.lora import Lora
from lmkit.registry import Component, Kind, LocalPlugin, Registry, default_registry
from lmkit.registry.local import asked_plugins
from lmkit.spelling import did_you_mean

R = TypeVar("R", "Pretraining", "Finetuning")

_USE = 'a table with use = "..."'
_SETTINGS: dict[str, type[Any]] = {"data": Data, "train": Training, "checkpoint": Checkpointing, "lora": Lora}
_OPTIONAL = frozenset({"lora"})
_TOP = ("seed", "plugins", "reporters")
"""Keys that stand above the tables."""
_BUDGETS = frozenset({"steps", "tokens", "epochs", "minutes"})


@attrs.frozen
class Chosen:
    """A component, and the config to build it from."""

    component: Component
    config: Any


@attrs.frozen
class Saved:
    """A tokenizer that is loaded from a folder instead of trained."""

    component: Component
    folder: Path


def _tokenizer(value: Any) -> Chosen | Saved:
    return value if isinstance(value, Saved) else _chosen("tokenizer", value)


def _encoder(value: Any) -> Chosen:
    return _chosen("encoder", value)


def _objective(value: Any) -> Chosen:
    return _chosen("objective", value)


def _task(value: Any) -> Chosen:
    return _chosen("task", value)


def _chosen(kind: Kind, value: Any) -> Chosen:
    return value if isinstance(value, Chosen) else Chosen(default_registry().component_of(value, kind), value)


@attrs.frozen(kw_only=True)
class Pretraining:
    """All that a pre-training run is made of; a component may be given as an instance of its Config."""

    seed: int = 1
    """Where all randomness comes from."""
    plugins: tuple[LocalPlugin, ...] = ()
    """Local plugin files, besides what is installed."""
    reporters: tuple[str, ...] = ()
    """Installed reporters that watch the run only where they are named."""
    tokenizer: Chosen | Saved = attrs.field(converter=_tokenizer)
    """Trained on the training data, or loaded from a folder."""
    data: Data
    """The text."""
    encoder: Chosen = attrs.field(converter=_encoder)
    """What is trained."""
    objective: Chosen = attrs.field(converter=_objective)
    """What it learns to predict."""
    train: Training
    """Budget, batch and optimizer."""
    checkpoint: Checkpointing = attrs.field(factory=Checkpointing)
    """When to save."""


@attrs.frozen(kw_only=True)
class Finetuning:
    """All that fine-tuning adds to the run it starts from, which has the tokenizer and the encoder."""

    seed: int = 1
    """Where all randomness comes from."""
    plugins: tuple[LocalPlugin, ...] = ()
    """Local plugin files, besides what is installed."""
    reporters: tuple[str, ...] = ()
    """Installed reporters that watch the run only where they are named."""
    task: Chosen = attrs.field(converter=_task)
    """What is learned from the rows."""
    data: Data
    """The rows."""
    train: Training
    """Budget, batch and optimizer."""
    checkpoint: Checkpointing = attrs.field(factory=Checkpointing)
    """When to save."""
    lora: Lora | None = None
    """Low-rank updates to train instead of the encoder's own matrices."""


def read_pretraining(
    source: Path | str | Mapping[str, Any] | Pretraining,
    *,
    overrides: Iterable[str] = (),
    local_files: Sequence[Path | str] = (),
    recorded: bool = False,
) -> Pretraining:
    """The recipe in a run.toml, in tables like one, or another recipe with `overrides` ("encoder.layers=6").

    `local_files` are plugins besides those that it lists.  `recorded`: the file comes from a run's folder, where
    somebody else may have put it, so plugins that it lists are only run where `local_files` has them too.
    Paths are relative to the file's folder, and to the working directory where there is no file.
    Raises ConfigError with every problem at once; PluginError where a local plugin cannot be used.
    """
    return _read(Pretraining, source, overrides, local_files, recorded)


def read_finetuning(
    source: Path | str | Mapping[str, Any] | Finetuning,
    *,
    overrides: Iterable[str] = (),
    local_files: Sequence[Path | str] = (),
    recorded: bool = False,
) -> Finetuning:
    """The recipe in a task's file, as `read_pretraining` reads a run.toml."""
    return _read(Finetuning, source, overrides, local_files, recorded)


def resolved_toml(recipe: Pretraining | Finetuning) -> str:
    """A run's config.toml: every value written out, and read back as an equal recipe."""
    return dumps(tables(recipe))


def commented_toml(recipe: Pretraining | Finetuning) -> str:
    """A run.toml for people: every value, and beside it what it means."""
    parts = _fields(recipe)
    files = tuple(plugin.file for plugin in parts.pop("plugins"))
    preamble = _Preamble(seed=parts.pop("seed"), plugins=files, reporters=parts.pop("reporters"))
    sections: dict[str, Any] = {"": ({}, preamble)}
    for name, value in parts.items():
        match value:
            case Chosen(component, config):
                sections[name] = {"use": component.use}, config
            case Saved():
                sections[name] = _plain(value), None
            case _:
                sections[name] = {}, value
    return commented(sections)


def tables(recipe: Pretraining | Finetuning) -> dict[str, Any]:
    """A recipe as plain data, in the order and form of its file."""
    return {name: _plain(value) for name, value in _fields(recipe).items() if value is not None}


def _plain(value: Any) -> Any:
    match value:
        case Chosen(component, config):
            return {"use": component.use, **unstructure(config)}
        case Saved(component, folder):
            return {"use": component.use, "folder": str(folder)}
        case tuple():
            return [item if isinstance(item, str) else unstructure(item) for item in value]
    return value if isinstance(value, int) else unstructure(value)


def _fields(recipe: attrs.AttrsInstance) -> dict[str, Any]:
    return attrs.asdict(recipe, recurse=False)


@attrs.frozen(kw_only=True)
class _Preamble:
    """The keys of a file that stand above its tables."""

    seed: int = attrs.field(default=1, validator=[validators.ge(0), validators.lt(2**32)])
    """Where all randomness comes from: the same seed gives the same run."""
    plugins: tuple[Path | LocalPlugin, ...] = ()
    """Local plugin files, besides what is installed."""
    reporters: tuple[str, ...] = ()
    """Installed reporters that watch the run only where they are named, such as "tensorboard"."""


def _read(cls: type[R], source: Any, overrides: Iterable[str], local_files: Sequence[Path | str], recorded: bool) -> R:
    known: dict[str, Component] = {}
    if isinstance(source, cls):
        name, folder, data = cls.__name__, Path.cwd(), tables(source)
        known = {k: v.component for k, v in _fields(source).items() if isinstance(v, (Chosen, Saved))}
        local_files = [*local_files, *(plugin.file for plugin in source.plugins)]
    elif isinstance(source, Mapping):
        name, folder, data = "config", Path.cwd(), dict(source)
    else:
        name, folder, data = str(source), Path(source).absolute().parent, read(Path(source))
    data = _one_budget(override(data, overrides := list(overrides)), overrides)
    sections: list[str] = [field.name for field in attrs.fields(cls) if field.name not in _TOP]

    problems = Problems()
    preamble = collect(_Preamble, {k: data[k] for k in _TOP if k in data}, problems, folder=folder)
    plugins = asked_plugins(preamble.plugins if preamble else (), local_files, recorded, problems)
    if any(problem.startswith("plugins") for problem in problems):
        problems.raise_if_any(name)  # without them, names of components would look unknown
    registry = Registry([plugin.file for plugin in plugins]) if plugins else default_registry()
    registry.plugins()
    problems += [_unknown(cls, key, sections) for key in data if key not in (*_TOP, *sections)]
    for reporter in preamble.reporters if preamble else ():
        try:
            registry.find("reporter", reporter)
        except PluginError as error:
            problems.append(f"reporters: {error}")
    values: dict[str, Any] = {}
    for section in sections:
        if section in _OPTIONAL and section not in data:
            values[section] = None
        elif section in _SETTINGS:
            table = data.get(section, {})
            values[section] = collect(_SETTINGS[section], table, problems, path=section, folder=folder)
        else:
            kind: Any = section
            values[section] = _choice(kind, data.get(section), registry, known.get(section), folder, problems)
    problems.raise_if_any(name)
    assert preamble is not None
    return cls(seed=preamble.seed, plugins=plugins, reporters=preamble.reporters, **values)


def _one_budget(data: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """`data`, where an override of the budget, such as "train.minutes=1", takes the place of the file's own."""
    named = {override.partition("=")[0].strip() for override in overrides}
    chosen, train = {key for key in _BUDGETS if f"train.{key}" in named}, data.get("train")
    if not chosen or not isinstance(train, Mapping):
        return data
    return {**data, "train": {key: value for key, value in train.items() if key not in _BUDGETS - chosen}}


def _unknown(cls: type[Any], key: str, sections: Sequence[str]) -> str:
    if cls is Finetuning and key in ("tokenizer", "encoder", "objective"):
        return f"{key}: not in a task's file: it comes from the run that fine-tuning starts from"
    if cls is Pretraining and key == "task":
        return f"{key}: not in a pre-training file: it goes into a file of its own, for finetune"
    known = (*_TOP, *sections)
    return f"{key}: unknown key.{did_you_mean(key, known) or ' Known: ' + ', '.join(known)}"


def _choice(
    kind: Kind, table: Any, registry: Registry, known: Component | None, folder: Path, problems: Problems
) -> Chosen | Saved | None:
    if not isinstance(table, Mapping):
        problems.append(f"{kind}: {_lacks(table, _USE)}")
        return None
    use = table.get("use")
    if not isinstance(use, str):
        problems.append(f"{kind}.use: {_lacks(use, 'str')}")
        return None
    try:
        component = known if known and known.use == use else registry.find(kind, use)
        cls = component.load()
    except PluginError as error:
        problems.append(f"{kind}.use: {error}")
        return None
    keys = {key: value for key, value in table.items() if key != "use"}
    if kind == "tokenizer" and "folder" in keys:
        return _saved(component, keys, folder, problems)
    config = collect(cls.Config, keys, problems, path=kind, owner=str(component), folder=folder)
    return Chosen(component, config)


def _lacks(value: Any, wanted: str) -> str:
    return f"required, {wanted}" if value is None else f"expected {wanted}, got {got(value)}"


def _saved(component: Component, keys: Mapping[str, Any], folder: Path, problems: Problems) -> Saved | None:
    extra = [key for key in keys if key != "folder"]
    problems += [f"tokenizer.{key}: not beside folder, which holds a tokenizer that is trained" for key in extra]
    place = collect(_Folder, {"folder": keys["folder"]}, problems, path="tokenizer", folder=folder)
    return Saved(component, place.folder) if place else None


@attrs.frozen
class _Folder:
    folder: Path
