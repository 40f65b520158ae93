"""What a batch costs: the floating-point work of a pass, and the trade of memory for more of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import flop_registry

from lmkit.batch import Batch
from lmkit.engine.device import Choices


def count_flops(model: nn.Module, batch: Batch, choices: Choices) -> float:
    """Floating-point operations of the matrix products in one forward pass over `batch`; a backward pass has twice."""
    with torch.no_grad(), choices.autocast(), _Products() as products:
        model(batch)
    return float(products.flops)


class _Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the work of matrix products as they are made, by torch's own formulas."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch loads the compiler, for most of a second; its own FlopCounterMode does

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func.overloadpacket):
            self.flops += count(*args, **(kwargs or {}), out_val=result)
        return result


def checkpoint_activations(layers: Sequence[nn.Module]) -> None:
    """Have each layer forget what it computed and compute it again in the backward pass (Chen et al. 2016)."""
    for layer in layers:
        if getattr(layer.forward, "func", None) is checkpoint:  # of an engine before this one
            continue
        forward: Callable[..., Any] = layer.forward
        layer.forward = partial(checkpoint, forward, use_reentrant=False)
