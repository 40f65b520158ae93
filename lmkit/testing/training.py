"""Training as the checks need it: the engine's own step, gradients, optimizer and loop on a handful of examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from lmkit.batch import Batch, Example
from lmkit.engine.device import choose
from lmkit.engine.distributed import Processes
from lmkit.engine.loop import Engine
from lmkit.engine.optimizer import Optimizer
from lmkit.engine.saving import Saving
from lmkit.engine.settings import Training
from lmkit.engine.state import Snapshot, State
from lmkit.engine.step import StepResult, backward, clip
from lmkit.engine.validation import measure_all
from lmkit.interfaces import Objective
from lmkit.model import Model

FIT_STEPS = 120
"""Steps in which four examples are to be learned by heart."""
ALL_STEPS, SAVED_STEPS = 6, 3
"""Of a run, and after how many of them it is resumed."""
_EXAMPLE_TOKENS = 8  # what the engine is told an example has, so that a batch in tokens is one in examples


def gradients(model: Model, batches: Sequence[Batch]) -> tuple[dict[str, Tensor], StepResult]:
    """Gradients of the trained parameters by name, over these micro-batches, and what the step found."""
    model.zero_grad(set_to_none=True)
    result = _backward(model, batches)
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}, result


def fit(model: Model, steps: Sequence[Sequence[Example]], *, progress: float | None = None) -> list[float]:
    """Train on the examples of each step, at a falling learning rate; returns each step's loss."""
    settings = _settings(batch=4, micro=4, steps=len(steps))
    optimizer = Optimizer(model, model.roles(), settings, matrix_dtype=torch.float32)
    losses = []
    model.train()
    for step, examples in enumerate(steps):
        optimizer.zero_grad()
        batch = model.objective.collate(examples, progress=progress)
        losses.append(_backward(model, [batch]).loss)
        clip(model, 1.0)
        optimizer.step(min(1.0, 2 * (1 - step / len(steps))))
    model.eval()
    return losses


def measured(model: Model, examples: Sequence[Example]) -> dict[str, float]:
    """Means of what the objective measures over these examples, and under "" the weighted loss."""
    totals = measure_all(
        model, model.measure, examples, _collate(model.objective), batch_examples=4, device="cpu", processes=Processes()
    )
    assert totals is not None
    return {**totals.means, "": sum(weight * totals.means[term] for term, weight in model.objective.weights.items())}


def run_and_resume(
    build: Callable[[], Model], examples: Sequence[Example]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters after six steps at once, and after three steps, a snapshot, a new engine, and three more."""
    snapshots: list[Snapshot] = []

    def save(snapshot: Snapshot) -> str:
        tensors = {f: {n: t.detach().clone() for n, t in part.items()} for f, part in snapshot.tensors.items()}
        snapshots.append(Snapshot(state=State.from_json(snapshot.state.to_json()), tensors=tensors))
        return ""

    saving = Saving(save=save, every_steps=SAVED_STEPS, every_minutes=None)
    whole = _engine(build(), examples, saving)
    whole.train()
    resumed = _engine(build(), examples, None)
    resumed.restore(snapshots[0].state, snapshots[0].tensors)
    resumed.train()
    return dict(whole.model.state_dict()), dict(resumed.model.state_dict())


@attrs.frozen
class _Again:
    """The same examples each epoch, under new keys."""

    made: Sequence[Example]

    def __len__(self) -> int:
        return len(self.made)

    def examples(self, position: int, count: int) -> list[Example]:
        places = [divmod(p, len(self.made)) for p in range(position, position + count)]
        return [attrs.evolve(self.made[index], key=(5, epoch, index)) for epoch, index in places]


def _engine(model: Model, examples: Sequence[Example], saving: Saving | None) -> Engine:
    settings = _settings(batch=4, micro=2, steps=ALL_STEPS)
    return Engine(
        model=model,
        measure=model.measure,
        roles=model.roles(),
        layers=model.encoder.layers,
        weights=model.objective.weights,
        source=_Again(examples),
        collate=_collate(model.objective),
        validation={},
        example_tokens=_EXAMPLE_TOKENS,
        settings=settings,
        choices=choose(settings, long_run=False),
        seed=1,
        observers=[],
        saving=saving,
    )


def _settings(*, batch: int, micro: int, steps: int) -> Training:
    return Training(
        steps=steps,
        block_tokens=_EXAMPLE_TOKENS,
        batch_tokens=batch * _EXAMPLE_TOKENS,
        micro_batch_tokens=micro * _EXAMPLE_TOKENS,
        learning_rate=0.01,
        weight_decay=0.0,
        precision="fp32",
        compile="off",
        threads=1,
        spike=0.0,
    )


def _collate(objective: Objective[Any]) -> Callable[[Sequence[Example], float | None], Batch]:
    return lambda examples, progress: objective.collate(examples, progress=progress)


def _backward(model: Model, batches: Sequence[Batch]) -> StepResult:
    return backward(
        model,
        batches,
        model.objective.weights,
        processes=Processes(),
        autocast=nullcontext,
        seed_micro_batch=lambda _: None,
    )


def silent(tensors: Mapping[str, Tensor | None]) -> list[str]:
    """Names of gradients that are missing, or zero everywhere."""
    return sorted(name for name, tensor in tensors.items() if tensor is None or not bool(tensor.any()))


def parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The trained parameters by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}
