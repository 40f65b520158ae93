"""Running trained modules for answers: no gradients, no dropout; what was in training returns to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def inference(*modules: nn.Module) -> Iterator[None]:
    """Evaluation mode and torch's inference mode; hold it for one forward pass, never across a `yield` of answers."""
    training = [module for module in modules if module.training]
    for module in training:
        module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.train()
