"""resume: a run goes on from its newest whole checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import attrs

from lmkit.checkpoint import Checkpoint, check_components, newest, of_step
from lmkit.config import override, read
from lmkit.engine.distributed import Processes, joined
from lmkit.engine.events import Observer
from lmkit.engine.settings import Training
from lmkit.errors import IntegrityError, RunError
from lmkit.recipe import Finetuning, Pretraining, read_finetuning, read_pretraining, resolved_toml, tables
from lmkit.registry import Registry, default_registry
from lmkit.run.finetune import trainee_of as finetuning_trainee
from lmkit.run.folder import CONFIG, IMPORTED, STARTED_FROM, config_of, never_began
from lmkit.run.load import load, run_of, tokenizer_of
from lmkit.run.pretrain import trainee_of as pretraining_trainee
from lmkit.run.recorded import require_sound
from lmkit.run.run import Run
from lmkit.run.training import Trainee, differences_of, locked, train


def resume(
    run: Path | str,
    *,
    overrides: Sequence[str] = (),
    local_files: Sequence[Path | str] = (),
    observers: Sequence[Observer] = (),
    quiet: bool = False,
) -> Run:
    """Go on with the run in a folder from its newest whole checkpoint, or from step 0 where it has none.

    With the same software and settings it ends at the same bits as an uninterrupted run in fp32; `overrides`, such as
    "train.steps=2000", end that.  Raises RunError for a folder that is no run, is in use, or whose text has changed.
    """
    folder = Path(run)
    config, is_finetuning = config_of(folder)
    if IMPORTED in read(config):
        raise RunError(
            f"{folder}: imported, so there is no training to go on with. Start one from it: lmkit finetune {folder} "
            f"TASK.toml --run DIR, or lmkit pretrain RUN.toml --from {folder} --run DIR"
        )
    with _joined(config, overrides) as processes, locked(folder, processes):
        found = _newest(folder, processes)
        if found is not None:
            require_sound(found)
            if not is_finetuning and "train" not in found.state["data"]:
                raise IntegrityError(f"{found.path}: it does not say what text the run reads")
        registry = Registry(local_files) if local_files else default_registry()
        differences, changes_data = [f"{override} (asked for)" for override in overrides], False
        if found is not None:  # before the config is read, which knows no more of what is not installed than its name
            differences += check_components(found.components, registry.find, source=str(found.path))
            differences += differences_of(found)
        reading = read_finetuning if is_finetuning else read_pretraining
        recipe = reading(config, overrides=overrides, local_files=local_files, recorded=True)
        if found is not None:
            edited = dict(_edited(found, recipe))
            for key, how in edited.items():
                if key.startswith("tokenizer"):
                    raise RunError(f"{folder}: {key} {how}, and a run keeps its tokenizer: put it back as it was")
            asked = {override.partition("=")[0].strip() for override in overrides}
            differences += [f"{key} {how}" for key, how in edited.items() if key not in asked]
            changes_data = any(key.startswith("data.") for key in edited)
        trainee = _trainee(folder, recipe, found, registry, changes_data=changes_data)

        def rewrite() -> None:
            if overrides and processes.leads:
                _rewrite(folder / CONFIG, recipe, found)

        train(
            folder,
            trainee,
            recipe,
            registry=registry,
            quiet=quiet,
            observers=observers,
            resumed=found,
            asks=not is_finetuning and (processes.world == 1 or recipe.train.parallel == "ddp"),
            differences=differences,
            once_restored=rewrite,
        )
        processes.wait()
    return load(folder, local_files=local_files)


def _newest(folder: Path, processes: Processes) -> Checkpoint | None:
    """The newest whole checkpoint; of several processes the first finds it, and the others do not hash it again."""
    found: list[Checkpoint | None] = []
    processes.lead(lambda: found.append(newest(folder, warn=lambda said: warnings.warn(said, stacklevel=6))))
    mine = found[0] if found else None
    step = processes.first(-1 if mine is None else mine.step)
    return mine if processes.leads or step < 0 else of_step(folder, int(step), hashed=False)


def _joined(config: Path, overrides: Sequence[str]) -> AbstractContextManager[Processes]:
    """As `joined`; of a config that is read as a whole only once the components of its checkpoint are known."""
    defaults = {field.name: field.default for field in attrs.fields(Training)}
    train = override(read(config), list(overrides)).get("train")
    said: Mapping[str, Any] = {**defaults, **(train if isinstance(train, Mapping) else {})}
    minutes = said["collective_minutes"]  # what it has to be is told when all of the config is read
    return joined(str(said["parallel"]), minutes if isinstance(minutes, (int, float)) else 10.0)


def _trainee(
    folder: Path,
    recipe: Pretraining | Finetuning,
    found: Checkpoint | None,
    registry: Registry,
    *,
    changes_data: bool,
) -> Trainee:
    if found is None and never_began(folder):
        verb = "finetune" if isinstance(recipe, Finetuning) else "pretrain"
        raise RunError(f"{folder}: it was stopped before it began; give the same lmkit {verb} again")
    if found is None and (isinstance(recipe, Finetuning) or (folder / STARTED_FROM).exists()):
        raise RunError(
            f"{folder}: no checkpoint is left, and its first weights came from another run: give the same command "
            "another --run"
        )
    if isinstance(recipe, Finetuning):
        assert found is not None
        trainee = finetuning_trainee(recipe, run_of(folder, found, registry))
    elif found is None:
        return pretraining_trainee(recipe)
    else:
        fingerprints = None if changes_data else found.state["data"]
        trainee = pretraining_trainee(recipe, known=tokenizer_of(found, registry), fingerprints=fingerprints)
    assert found is not None
    then, now = found.state["data"], dict(trainee.fingerprints)
    changed = sorted(name for name in now if then.get(name) != now[name])
    if changed:
        tuning = isinstance(recipe, Finetuning)
        new_run = f"lmkit finetune {folder} ..." if tuning else f"lmkit pretrain ... --from {folder}"
        raise RunError(
            f"{folder}: the data is not what the run was trained on ({', '.join(changed)} differ). "
            f"Put it back as it was, or start a new run: {new_run}"
        )
    return trainee


def _edited(found: Checkpoint, recipe: Pretraining | Finetuning) -> Iterator[tuple[str, str]]:
    """Each key of config.toml whose value is not the one that `found` was written under."""
    then, now = (dict(_flat(config)) for config in (found.state.get("config", {}), tables(recipe)))
    for key in sorted(then.keys() & now.keys()):
        if then[key] != now[key] and not key.startswith("plugins"):
            yield key, f"was {then[key]!r:.60}, is {now[key]!r:.60}"


def _flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _rewrite(path: Path, recipe: Pretraining | Finetuning, found: Checkpoint | None) -> None:
    """The new config.toml; the one until now stays beside it under the step it was used up to."""
    step = found.step if found is not None else 0
    kept = path.with_name(f"config-until-step-{step:08d}.toml")
    if not kept.exists():  # changed twice at one step: the one that was trained with is kept
        kept.write_bytes(path.read_bytes())
    new = path.with_name(f"{path.name}.new")
    new.write_text(resolved_toml(recipe), encoding="utf-8")
    new.replace(path)
