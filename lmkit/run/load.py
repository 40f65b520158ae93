"""load: a run's folder becomes a model that answers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import attrs

from lmkit.checkpoint import Checkpoint, check_components, newest, of_step
from lmkit.config import structure
from lmkit.engine.device import computes_in_bf16, device
from lmkit.errors import CheckpointError, ConfigError, IntegrityError, RunError
from lmkit.interfaces import Tokenizer
from lmkit.lora import Lora
from lmkit.lora.adapters import merged
from lmkit.model import Model, join
from lmkit.registry import Registry, default_registry
from lmkit.run.folder import config_of, never_began
from lmkit.run.parts import Parts, recalled
from lmkit.run.recorded import require_sound
from lmkit.run.run import Precision, Run


def load(
    run: Path | str, *, local_files: Sequence[Path | str] = (), precision: Precision | Literal["auto"] = "auto"
) -> Run:
    """The run in a folder, with averaged weights where it has them: at its best checkpoint, or else its newest.

    `local_files` are plugins that it needs and that are not installed.  `precision` is that of the products by which it
    answers: "auto" is that of its training, where this machine multiplies so.
    Raises RunError for a folder that is no run, CheckpointError for one that has no whole checkpoint.
    """
    if precision not in ("auto", *get_args(Precision)):
        raise ConfigError("load", [f'precision: expected "auto", "fp32" or "bf16", got {precision!r:.40}'])
    folder = Path(run)
    config_of(folder)
    found = newest(folder, warn=lambda sentence: warnings.warn(sentence, stacklevel=3))
    if found is None:
        if never_began(folder):
            raise RunError(f"{folder}: it was stopped before it began; give the command that made it again")
        raise RunError(f"{folder}: no checkpoint yet; start the training with: lmkit resume {folder}")
    require_sound(found)
    found = _best(folder, found)
    registry = Registry(local_files) if local_files else default_registry()
    for sentence in check_components(found.components, registry.find, source=str(found.path)):
        warnings.warn(f"{found.path}: {sentence}", stacklevel=2)
    loaded = run_of(folder, found, registry)
    return loaded if precision == "auto" else attrs.evolve(loaded, precision=precision)


def _best(folder: Path, latest: Checkpoint) -> Checkpoint:
    """The checkpoint that was found best in validation, where the run judged them; else the latest."""
    best = latest.state["engine"].get("best")
    if best is None or best["step"] == latest.step:
        return latest
    try:
        chosen = of_step(folder, best["step"])
        require_sound(chosen)
        return chosen
    except IntegrityError as error:
        warnings.warn(f"the best checkpoint cannot be used: {error}; {latest.path.name} is used instead", stacklevel=3)
        return latest


def run_of(folder: Path, checkpoint: Checkpoint, registry: Registry) -> Run:
    """The run in `folder` as it stood at `checkpoint`."""
    parts = parts_of(checkpoint, registry)
    model = model_of(checkpoint, parts)
    model.eval()
    return Run(
        folder=folder,
        step=checkpoint.step,
        block_tokens=checkpoint.state["block_tokens"],
        parts=parts,
        module=model,
        registry=registry,
        precision=_precision(checkpoint),
    )


def _precision(checkpoint: Checkpoint) -> Precision:
    """That of its training, where this machine multiplies so; fp32 for what was trained elsewhere."""
    chosen = checkpoint.state["engine"]["choices"] or {}
    return "bf16" if chosen.get("precision") == "bf16" and computes_in_bf16(device()) else "fp32"


def parts_of(checkpoint: Checkpoint, registry: Registry) -> Parts:
    """The components that a checkpoint was made with, found again."""
    source = str(checkpoint.path)
    encoder = recalled(checkpoint.components, "encoder", registry, source)
    if encoder is None:
        raise CheckpointError(f"{source}: its manifest names no encoder")
    tokenizer, record = tokenizer_of(checkpoint, registry)
    return Parts(
        tokenizer=tokenizer,
        tokenizer_record=record,
        encoder=encoder,
        objective=recalled(checkpoint.components, "objective", registry, source),
        task=recalled(checkpoint.components, "task", registry, source),
        labels=tuple(checkpoint.state.get("labels", ())),
    )


def tokenizer_of(checkpoint: Checkpoint, registry: Registry) -> tuple[Tokenizer, dict[str, object]]:
    """A checkpoint's tokenizer and its record."""
    records = [r for r in checkpoint.components if r["kind"] == "tokenizer"]
    if len(records) != 1:
        raise CheckpointError(f"{checkpoint.path}: its manifest names {len(records)} tokenizers, wanted one")
    [record] = records
    component = registry.find("tokenizer", f"{record['distribution']}:{record['name']}")
    cls: type[Tokenizer] = component.load()
    return cls.load(checkpoint.folder("tokenizer")), record


def model_of(checkpoint: Checkpoint, parts: Parts) -> Model:
    """A checkpoint's model with its weights, which must be there to the last name."""
    encoder = parts.encoder_class()(parts.encoder.config, parts.tokenizer.vocabulary)
    objective = parts.build_objective()
    model = join(encoder, objective, objective.build_head(encoder))
    weights = checkpoint.tensors("model")
    if "ema" in checkpoint.stems:
        weights |= checkpoint.tensors("ema")
    lora = checkpoint.state.get("config", {}).get("lora")
    if lora is not None:
        weights = merged(weights, structure(Lora, lora, source=str(checkpoint.path), path="lora"))
    [version] = [r["state_version"] for r in checkpoint.components if r["kind"] == "encoder"]
    if version < encoder.state_version:
        mine = {n.removeprefix("encoder."): t for n, t in weights.items() if n.startswith("encoder.")}
        rest = {n: t for n, t in weights.items() if not n.startswith("encoder.")}
        weights = rest | {f"encoder.{n}": t for n, t in type(encoder).upgrade(mine, version).items()}
    for name, there in model.state_dict().items():  # which torch would convert without a word
        if name in weights and weights[name].dtype != there.dtype:
            raise CheckpointError(f"{checkpoint.path}: {name} is of {weights[name].dtype}, wanted {there.dtype}")
    for name, _ in model.named_parameters():  # a buffer may have such, as masks do; training saves no weights with them
        if name in weights and not weights[name].isfinite().all():
            raise CheckpointError(f"{checkpoint.path}: {name} has numbers that are not finite")
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error
    return model


def starting_weights(model: Model, start: Run) -> None:
    """Give `model` the weights of another run's encoder, and of its head where the kinds agree."""
    try:
        model.encoder.load_state_dict(start.module.encoder.state_dict(), strict=True)
        if model.objective.head_kind == start.head_kind:
            model.head.load_state_dict(start.module.head.state_dict(), strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{start.folder}: its weights are not those of this recipe's encoder: {error}") from error
