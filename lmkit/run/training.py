"""Training a model in a run's folder: the one place where engine, checkpoints and reports meet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs

from lmkit.batch import Example
from lmkit.checkpoint import Checkpoint, RunLock, save, step_name
from lmkit.engine.best import Judge
from lmkit.engine.device import choose, device
from lmkit.engine.distributed import Processes
from lmkit.engine.events import Event, Observer, Resumed
from lmkit.engine.feed import Source
from lmkit.engine.loop import Engine
from lmkit.engine.saving import Saving
from lmkit.engine.settings import Training
from lmkit.engine.state import Snapshot, State
from lmkit.errors import CheckpointError, FitError, Interrupted, LmkitError, PluginError, ProcessError, TrainingAlarm
from lmkit.lora.adapters import adapt, of_adapted
from lmkit.model import Model
from lmkit.recipe import Finetuning, Pretraining, tables
from lmkit.registry import Registry
from lmkit.registry.component import told
from lmkit.report.console import Console, guarded
from lmkit.report.metrics import MetricsFile, read_metrics
from lmkit.report.watch import Watch
from lmkit.run.background import Background
from lmkit.run.folder import METRICS, abandon
from lmkit.run.parts import Parts
from lmkit.run.recorded import environment
from lmkit.run.reporters import reporters

_WORTH_COMPILING = 3e14
"""Floating-point operations of a run from which compiling, half a minute to two, is repaid: some ten minutes."""


@attrs.frozen(kw_only=True)
class Trainee:
    """A model and all that it is to be trained on."""

    parts: Parts
    model: Model
    source: Source
    validation: Mapping[str, Sequence[Example]]
    example_tokens: float
    """Tokens of an example on average, filler included."""
    fingerprints: Mapping[str, Any]
    """What the data is known by: a resume compares it."""
    judge: Judge | None = None
    """What tells which of its checkpoints is best."""
    static_shapes: bool
    """Whether all batches have one shape; compiled code is made anew for each."""


def engine_of(
    trainee: Trainee,
    recipe: Pretraining | Finetuning,
    *,
    observers: Sequence[Observer],
    saving: Saving | None,
    state: State | None = None,
) -> Engine:
    """An engine that stands before the first step, or at `state`, whose choices it keeps."""
    objective, encoder = trainee.model.objective, trainee.model.encoder
    choices = state.choices if state is not None else None
    choices = choices or choose(recipe.train, long_run=_is_long(trainee, recipe.train))
    if recipe.train.parallel == "fsdp" and Processes.current().world > 1:
        if recipe.train.compile == "on":
            raise FitError('train.compile = "on" is for one process or parallel = "ddp": with "fsdp" leave it away')
        choices = attrs.evolve(choices, compile=False)
    model, decay = trainee.model, recipe.train.layer_decay
    roles, scales = model.roles(), {name: decay**depth for name, depth in model.depths().items()}
    if isinstance(recipe, Finetuning) and recipe.lora is not None:
        adapt(model, recipe.lora, seed=recipe.seed)
        roles, scales = of_adapted(model, roles, "head"), of_adapted(model, scales, 1.0)  # which are 1 without decay
    return Engine(
        model=model,
        measure=model.measure,
        roles=roles,
        layers=encoder.layers,
        weights=objective.weights,
        source=trainee.source,
        collate=lambda examples, progress: objective.collate(examples, progress=progress),
        validation=trainee.validation,
        example_tokens=trainee.example_tokens,
        settings=recipe.train,
        choices=choices,
        seed=recipe.seed,
        observers=observers,
        saving=saving,
        scales=scales,
        judge=trainee.judge,
    )


def train(
    folder: Path,
    trainee: Trainee,
    recipe: Pretraining | Finetuning,
    *,
    registry: Registry,
    quiet: bool,
    observers: Sequence[Observer] = (),
    resumed: Checkpoint | None = None,
    differences: Sequence[str] = (),
    new: bool = False,
    save_first: bool = False,
    asks: bool = False,
    once_restored: Callable[[], None] = lambda: None,
) -> None:
    """Train in `folder`, whose lock the caller holds, from the start or from `resumed`.

    `new`: the folder was made for this run, and goes again where a reporter cannot watch it.
    `save_first`: write a checkpoint of step 0, for a run whose first weights are not made from its config alone.
    `asks`: have the model answer at each validation, for people to see.
    `once_restored` is called where `resumed` turned out to fit, or there is none.
    """
    processes = Processes.current()
    behind = recipe.checkpoint.background
    apart = processes.apart(recipe.train.collective_minutes) if behind else processes
    write = _writer(folder, trainee, recipe, processes=apart)
    background = Background(write) if behind else None
    saving = Saving(
        save=background or write,
        finish=background.finish if background else lambda: None,
        every_steps=recipe.checkpoint.every_steps,
        every_minutes=recipe.checkpoint.every_minutes or None,
    )
    state = State.from_json(resumed.state["engine"]) if resumed is not None else None
    if resumed is not None and state is not None and state.choices is not None and _shares_cores_anew(resumed):
        threads = choose(recipe.train, long_run=False).threads
        state = attrs.evolve(state, choices=attrs.evolve(state.choices, threads=threads))
    if state is not None and state.choices is not None and state.choices.device == "cuda" != device():
        differences = [*differences, "device was cuda, is cpu"]
        state = attrs.evolve(state, choices=choose(recipe.train, long_run=False))
    watchers: list[Observer] = []
    engine = engine_of(trainee, recipe, observers=watchers, saving=saving, state=state)
    if resumed is not None and state is not None:
        try:
            engine.restore(state, {stem: resumed.stored(stem) for stem in resumed.stems})
        except (KeyError, RuntimeError) as error:
            changes = f" ({'; '.join(differences)})" if differences else ""
            raise CheckpointError(
                f"{resumed.path}: its tensors are not those of the model in config.toml{changes}: {error}"
            ) from error

    def watch() -> None:
        watching: list[Observer] = [MetricsFile(folder / METRICS), Console(quiet=quiet), *observers]
        watchers.extend([*map(guarded, watching), *reporters(registry, folder, recipe.reporters)])
        telling = tuple(watchers)

        def tell(event: Event) -> None:
            for see in telling:
                see(event)

        watchers.append(guarded(Watch(tell, fresh=resumed is None and not save_first)))
        if asks:
            from lmkit.run.samples import Samples  # which knows what a Trainee is

            watchers.append(guarded(Samples(trainee, registry, tell)))

    if resumed is not None and engine.is_over and _has_ended(folder):
        once_restored()
        if processes.leads and not quiet:
            more = _larger(recipe.train)
            sys.stderr.write(f"{folder}: finished already; to train on, give it a larger budget, as by --set {more}\n")
        return
    try:
        processes.lead(watch)
    except PluginError:
        if new and processes.leads:
            abandon(folder)
        raise
    if resumed is not None and state is not None:
        event = Resumed(
            step=state.step, path=str(resumed.path), promise=_promise(engine, differences), differences=differences
        )
        for observer in watchers:
            observer(event)
    elif save_first:
        write(engine.snapshot())
    once_restored()
    try:
        with processes.meeting("training"):
            engine.train()
    except Interrupted as stopped:
        raise Interrupted(f"{stopped}. Go on with: lmkit resume {folder}") from None
    except (TrainingAlarm, ProcessError, CheckpointError):  # which all know, or the first alone
        raise
    except LmkitError as error:
        error.alone = True
        raise
    except (SystemExit, GeneratorExit) as error:  # neither is a plugin's to raise: it would look like a success
        raise PluginError(f"a plugin left in the middle of training: {told(error)}") from error
    finally:
        if background is not None:  # the folder's lock is let go after this
            background.wait()


@contextmanager
def locked(folder: Path, processes: Processes) -> Iterator[None]:
    """While entered, no other run writes into this folder; the first of several processes holds the lock for all."""
    with ExitStack() as held:
        processes.lead(lambda: _hold(held, folder))
        yield


def _hold(held: ExitStack, folder: Path) -> None:
    held.enter_context(RunLock(folder))


def _has_ended(folder: Path) -> bool:
    """Whether a run has told its own end."""
    told = read_metrics(folder / METRICS)
    return bool(told) and told[-1].get("reason") in ("done", "no better")


def _larger(settings: Training) -> str:
    """A budget of the same kind, and twice as large."""
    twice = 2 * (settings.budget_tokens() or getattr(settings, settings.budget))
    return f"train.{settings.budget}={twice:g}" if isinstance(twice, float) else f"train.{settings.budget}={twice}"


def differences_of(checkpoint: Checkpoint) -> list[str]:
    """A sentence for each thing that is not as it was when `checkpoint` was written."""
    then = checkpoint.state["environment"]
    now = environment(then["threads"], Processes.current().world)
    return [f"{name} was {then.get(name)}, is {value}" for name, value in now.items() if then.get(name) != value]


def _shares_cores_anew(resumed: Checkpoint) -> bool:
    return bool(resumed.state["environment"]["world"] != Processes.current().world)


def _writer(
    folder: Path, trainee: Trainee, recipe: Pretraining | Finetuning, *, processes: Processes
) -> Callable[[Snapshot], str]:
    def write(snapshot: Snapshot) -> str:
        if not (processes.leads or snapshot.shared):
            return ""
        choices = snapshot.state.choices
        assert choices is not None
        state = {
            "engine": snapshot.state.to_json(),
            "seed": recipe.seed,
            "labels": list(trainee.parts.labels),
            "data": dict(trainee.fingerprints),
            "block_tokens": recipe.train.block_tokens,
            "config": tables(recipe),
            "environment": environment(choices.threads, processes.world),
        }
        best = snapshot.state.best
        path = save(
            folder,
            snapshot.state.step,
            tensors=snapshot.tensors,
            state=state,
            components=trainee.parts.records(),
            folders={"tokenizer": trainee.parts.tokenizer.save},
            keep=recipe.checkpoint.keep,
            protect=() if best is None else (step_name(best.step),),
            peers=processes if snapshot.shared else None,
        )
        return str(path)

    return write


def _promise(engine: Engine, differences: Sequence[str]) -> str:
    if any(not difference.startswith(("world was ", "threads was ")) for difference in differences):
        return "compatible"
    if differences:  # sums of the same numbers in another order
        return "same data"
    repeatable = engine.choices.precision == "fp32" and not engine.choices.compile and engine.settings.minutes is None
    return "exact" if repeatable else "same data"


def _is_long(trainee: Trainee, settings: Training) -> bool:
    """Whether the run is long enough for compiling to be repaid, judged by its work, not by a clock."""
    if not trainee.static_shapes:
        return False
    if settings.minutes is not None:
        return settings.minutes >= 10
    tokens = settings.budget_tokens()
    if tokens is None:
        examples = (settings.epochs or 0) * len(trainee.source)
        tokens = int(max((settings.steps or 0) * settings.batch_tokens, examples * trainee.example_tokens))
    parameters = sum(p.numel() for p in trainee.model.parameters())
    return 6 * parameters * tokens >= _WORTH_COMPILING
