"""Recorded: what a run writes beside its tensors, looked at before anything of it is used.

A checkpoint's hashes guard against accidents.  Whoever edits its files and hashes them anew is met here.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import attrs
import torch

from lmkit.checkpoint import Checkpoint
from lmkit.checkpoint.manifest import STATE
from lmkit.config import structure
from lmkit.engine.state import State
from lmkit.errors import ConfigError, IntegrityError

_FINGERPRINT = re.compile("[0-9a-f]{64}")


@attrs.frozen(kw_only=True)
class Environment:
    """What the bits of a run depend on besides its config."""

    lmkit: str
    torch: str
    machine: str
    threads: int
    world: int


@attrs.frozen(kw_only=True)
class Recorded:
    """The state of a checkpoint."""

    engine: State
    seed: int
    labels: tuple[str | int | float | bool, ...] = ()
    data: Mapping[str, Any]
    """What the run's data is known by."""
    block_tokens: int
    config: Mapping[str, Any] = attrs.field(factory=dict)
    environment: Environment


def environment(threads: int, world: int) -> dict[str, Any]:
    """What the bits of a run depend on besides its config: compared when it is resumed."""
    return {
        "lmkit": metadata.version("lmkit"),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": threads,
        "world": world,
    }


def require_sound(checkpoint: Checkpoint) -> None:
    """Raise IntegrityError where the state of a checkpoint is none that a run writes."""
    place = checkpoint.path / STATE
    try:
        found = structure(Recorded, checkpoint.state, source=str(place))
    except ConfigError as error:
        raise IntegrityError(str(error)) from None
    stands, chosen = found.engine, found.engine.choices
    counts = (stands.step, stands.position, stands.tokens, stands.seconds, stands.skipped, found.seed)
    if stands.step != checkpoint.step or min(counts) < 0:
        raise IntegrityError(f"{place}: it does not stand where a run of step {checkpoint.step} does")
    sizes = [found.block_tokens, found.environment.threads, found.environment.world]
    if chosen is not None:
        sizes += [chosen.threads, chosen.micro_batch_tokens]
        if chosen.device not in ("cpu", "cuda") or chosen.precision not in ("fp32", "bf16"):
            raise IntegrityError(f"{place}: no run is made on {chosen.device!r:.40} in {chosen.precision!r:.40}")
    if min(sizes) < 1 or max(sizes) > 1 << 31:
        raise IntegrityError(f"{place}: a size or a number of threads in it is out of all bounds: {sizes}")
    if not _names_texts(found.data):
        raise IntegrityError(f"{place}: what it says of the data is none that a run writes")


def _names_texts(data: Mapping[str, Any]) -> bool:
    """Whether the fingerprints of a pre-training, by which folders of tokens are found, are fingerprints."""
    if "train" not in data:  # fine-tuned or imported
        return "validation" not in data or "examples" in data
    train, validation = data["train"], data.get("validation")
    if not isinstance(train, list) or not isinstance(validation, Mapping):
        return False
    return all(isinstance(known, str) and _FINGERPRINT.fullmatch(known) for known in (*train, *validation.values()))
