"""The parts of a run: which component plays each role, from which config; and what a checkpoint records of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from lmkit.config import structure, unstructure
from lmkit.errors import CheckpointError, ConfigError, LmkitError
from lmkit.interfaces import Encoder, Objective, Task, Tokenizer
from lmkit.recipe import Chosen
from lmkit.registry import Registry


@attrs.frozen(kw_only=True)
class Parts:
    """What a run's model and answers are made of."""

    tokenizer: Tokenizer
    tokenizer_record: Mapping[str, Any]
    encoder: Chosen
    objective: Chosen | None
    """None where the task builds it."""
    task: Chosen | None = None
    labels: tuple[str, ...] = ()
    """What a task found in its data."""

    def encoder_class(self) -> type[Encoder]:
        """The encoder's class, imported."""
        loaded: type[Encoder] = self.encoder.component.load()
        return loaded

    def build_objective(self) -> Objective[Any]:
        """The objective: the run's own, or the one that its task trains with."""
        if self.task is not None:
            try:
                return self.build_task().build_objective(self.labels)
            except (ValueError, TypeError) as error:
                if isinstance(error, LmkitError):
                    raise
                labels = ", ".join(self.labels) or "none"
                raise ConfigError("task", [f"{self.task.component} with the labels {labels}: {error}"]) from error
        assert self.objective is not None
        cls: type[Objective[Any]] = self.objective.component.load()
        return cls(self.objective.config, self.tokenizer.vocabulary)

    def build_task(self) -> Task:
        """The task that the run was fine-tuned for."""
        assert self.task is not None
        task: Task = self.task.component.load()(self.task.config, self.tokenizer)
        return task

    def records(self) -> list[dict[str, Any]]:
        """What a checkpoint's manifest holds of each component."""
        chosen = [c for c in (self.encoder, self.objective, self.task) if c is not None]
        return [dict(self.tokenizer_record), *(record(c) for c in chosen)]


def record(chosen: Chosen) -> dict[str, Any]:
    """A component as a manifest tells it: who it is, its version, its state's version, its config."""
    component = chosen.component
    return {
        "kind": component.kind,
        "name": component.name,
        "distribution": component.distribution,
        "version": component.version,
        "state_version": getattr(component.load(), "state_version", 1),
        "config": unstructure(chosen.config),
    }


def recalled(records: Sequence[Mapping[str, Any]], kind: str, registry: Registry, source: str) -> Chosen | None:
    """The component of this kind that a manifest names, found again; None where it names none."""
    found = [r for r in records if r["kind"] == kind]
    if not found:
        return None
    if len(found) > 1:
        raise CheckpointError(f"{source}: its manifest names {len(found)} components of kind {kind}, wanted one")
    component = registry.find(found[0]["kind"], f"{found[0]['distribution']}:{found[0]['name']}")
    config = structure(component.load().Config, found[0]["config"], source=source, path=kind, owner=str(component))
    return Chosen(component, config)
