"""Meter: what a step costs and how fast it was, as observers are told."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from torch import nn

from lmkit.batch import Batch
from lmkit.engine.device import Choices, peak_flops
from lmkit.engine.events import Started, Stepped
from lmkit.engine.parallel import part
from lmkit.engine.settings import Training
from lmkit.engine.state import State
from lmkit.engine.step import StepResult
from lmkit.engine.work import checkpoint_activations, count_flops

_COUNTED_EVERY = 100  # steps: units that are silent are no news at every one


@attrs.frozen(kw_only=True)
class Meter:
    """The work of a token and the peak of the device, counted and measured once."""

    parameters: int
    """Those that are trained."""
    flops_per_token: float
    peak: float | None
    """FLOP/s of the device; None: unknown."""
    matrices: Sequence[nn.Parameter]
    """Of the layers."""
    settings: Training
    choices: Choices

    @classmethod
    def of(
        cls, model: nn.Module, layers: Sequence[nn.Module], batch: Batch, settings: Training, choices: Choices
    ) -> Meter:
        """Count a forward pass over `batch`; activation checkpointing, where it is asked for, begins here."""
        passes = 4 if settings.activation_checkpointing else 3
        flops = passes * count_flops(model, batch, choices)
        if settings.activation_checkpointing:
            checkpoint_activations(layers)
        return cls(
            parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
            flops_per_token=flops / max(batch.tokens, 1),
            peak=peak_flops(choices),
            matrices=[p for layer in layers for p in layer.parameters() if p.dim() == 2],
            settings=settings,
            choices=choices,
        )

    def started(self, step: int, world: int, steps: int | None) -> Started:
        """The run begins, or goes on; `steps` are those of the whole budget."""
        return Started(
            step=step,
            steps=steps,
            minutes=self.settings.minutes,
            budget=self.settings.budget,
            parameters=self.parameters,
            device=self.choices.device,
            precision=self.choices.precision,
            threads=self.choices.threads,
            processes=world,
            compiled=self.choices.compile,
            micro_batch_tokens=self.choices.micro_batch_tokens,
            flops_per_token=self.flops_per_token,
            peak_flops=self.peak and self.peak * world,
        )

    def stepped(
        self,
        state: State,
        result: StepResult,
        norm: float,
        *,
        progress: float,
        rate: float,
        seconds: float,
        waited: float,
        applied: bool,
    ) -> Stepped:
        """A step of all processes, made at `rate` times the peak learning rate."""
        speed = result.tokens / seconds if seconds else 0.0
        peak = self.peak and self.peak * result.processes
        return Stepped(
            step=state.step,
            tokens=state.tokens,
            seconds=state.seconds,
            waited=waited,
            progress=progress,
            loss=result.loss,
            terms=result.terms,
            grad_norm=norm,
            learning_rate=self.settings.learning_rate * rate,
            tokens_per_second=speed,
            model_flops_utilization=speed * self.flops_per_token / peak if peak else None,
            applied=applied,
            silent=silent_units(self.matrices) if state.step % _COUNTED_EVERY == 0 else None,
        )


def silent_units(matrices: Sequence[nn.Parameter]) -> float | None:
    """Share of a matrix' rows whose gradient is zero throughout, where it is largest; None where none has a gradient.

    Such a unit answered no token of the batch: behind a ReLU, it is dead when it never does.
    """
    gradients = [part(p.grad) for p in matrices if p.grad is not None]
    return max((float((gradient == 0).all(1).float().mean()) for gradient in gradients if len(gradient)), default=None)
