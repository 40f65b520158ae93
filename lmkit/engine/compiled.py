"""Compiled: a step that torch.compile built, once it was seen to compute what the model does by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import torch
from torch import nn

from lmkit.batch import Batch, Packed
from lmkit.cache import keep_compiled
from lmkit.engine.device import Choices
from lmkit.engine.signals import StopRequest
from lmkit.engine.step import Losses
from lmkit.errors import FitError

_NEAR = 0.05  # of the loss: rounding in bf16, and dropout, whose numbers a compiled step draws otherwise
_ALIKE = 2.0  # times as long or as short a gradient may be, for the same reasons


def compiled(
    model: nn.Module,
    batch: Batch,
    choices: Choices,
    any_fails: Callable[[bool], bool],
    stop: StopRequest,
    *,
    insist: bool,
) -> tuple[nn.Module, str | None]:
    """The losses that torch builds; or the model itself, and why it is; to `insist` raises FitError instead.

    `any_fails` tells whether it failed in one of several processes: what one cannot, none does.
    """
    why_not = None
    try:
        built = _built(model, batch, choices)
    except FitError as error:
        why_not = str(error)
    if not any_fails(why_not is not None):
        return built, None
    if stop:  # a Ctrl-C ends the compiler's own processes too
        return model, None
    why_not = why_not or "torch.compile failed in another process"
    if insist:
        raise FitError(f'{why_not}; leave train.compile away, or set it to "off"')
    return model, f"{why_not}; training goes on without it"


def has_unused(model: nn.Module, batch: Batch, choices: Choices) -> bool:
    """Whether a parameter that is trained has no gradient after a pass over `batch`."""
    with choices.autocast():
        loss = sum(model(batch).values())
    assert isinstance(loss, torch.Tensor)
    loss.backward()  # type: ignore[no-untyped-call]
    unused = any(p.grad is None for p in model.parameters() if p.requires_grad)
    model.zero_grad(set_to_none=True)
    return unused


def _built(model: nn.Module, batch: Batch, choices: Choices) -> nn.Module:
    """The model's losses by kernels of its own, built now, for batches of this one's shape.

    Raises FitError where torch cannot build them, or where they compute another loss or gradient of `batch`.
    """
    from lmkit.engine.rewrites import Rewrites  # loads the compiler, which takes seconds

    _hide_attrs()
    keep_compiled()
    wanted = _loss_and_norm(model, model, batch, choices)
    options: dict[str, Any] = {}
    if choices.device == "cpu":
        fused = {"cpp.enable_floating_point_contract_flag": "fast"}  # a * b + c is one operation, rounded once
        options = {"joint_custom_pre_pass": Rewrites(), **fused}
    built = cast(nn.Module, torch.compile(model, dynamic=False, options=options))
    try:
        found = _loss_and_norm(built, model, batch, choices)
    except Exception as error:  # dynamo, inductor and the C++ compiler raise errors of many kinds
        torch.compiler.reset()
        model.zero_grad(set_to_none=True)
        first = str(error).strip().partition("\n")[0]
        raise FitError(f"torch.compile cannot build this model: {type(error).__name__}: {first:.200}") from error
    if all(torch.tensor(wanted).isfinite()):  # else the batch is to blame, and the first step tells
        near = abs(found[0] - wanted[0]) <= _NEAR * max(1.0, abs(wanted[0]))
        alike = wanted[1] / _ALIKE <= found[1] <= wanted[1] * _ALIKE
        if not (near and alike):
            raise FitError(
                f"what torch.compile built computes a loss of {found[0]:.4f} and a gradient as long as {found[1]:.4g}, "
                f"the model itself {wanted[0]:.4f} and {wanted[1]:.4g}"
            )
    return built


@cache
def _hide_attrs() -> None:
    """Dynamo cannot see into attrs; to say so where the class is would cost every import of it two seconds."""
    hide: Any = torch.compiler.disable
    Packed.with_tokens = hide(Packed.with_tokens)  # type: ignore[method-assign]


def _loss_and_norm(losses: Losses, model: nn.Module, batch: Batch, choices: Choices) -> tuple[float, float]:
    """The sum of a batch's losses and the length of its gradient, which is forgotten again."""
    with choices.autocast():
        loss = sum(losses(batch).values())
    assert isinstance(loss, torch.Tensor)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    model.zero_grad(set_to_none=True)
    return loss.item(), norm.item()
