"""What a batch costs: the floating-point work of a pass, and the trade of memory for more of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from lmkit.batch import Batch
from lmkit.engine.device import Choices


def count_flops(model: nn.Module, batch: Batch, choices: Choices) -> float:
    """Floating-point operations of the matrix products in one forward pass over `batch`; a backward pass has twice."""
    with torch.no_grad(), choices.autocast(), FlopCounterMode(display=False) as counter:
        model(batch)
    return float(counter.get_total_flops())


def checkpoint_activations(layers: Sequence[nn.Module]) -> None:
    """Have each layer forget what it computed and compute it again in the backward pass (Chen et al. 2016)."""
    for layer in layers:
        if getattr(layer.forward, "func", None) is checkpoint:  # of an engine before this one
            continue
        forward: Callable[..., Any] = layer.forward
        layer.forward = partial(checkpoint, forward, use_reentrant=False)
