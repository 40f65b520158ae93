"""Running trained modules for answers: no gradients, no dropout; what was in training returns to it.

Answers are computed in the precision that the caller's autocast says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluated(*modules: nn.Module) -> Iterator[None]:
    """Evaluation mode, with gradients."""
    training = [module for module in modules if module.training]
    for module in training:
        module.eval()
    try:
        yield
    finally:
        for module in training:
            module.train()


@contextmanager
def inference(*modules: nn.Module) -> Iterator[None]:
    """Evaluation mode and torch's inference mode; hold it for one forward pass, never across a `yield` of answers."""
    with evaluated(*modules), torch.inference_mode():
        yield


@contextmanager
def exact_inference(*modules: nn.Module) -> Iterator[None]:
    """As `inference`, in the weights' own precision whatever the caller's autocast says.

    For likelihoods, which are sums of small differences; and for single tokens, whose time a processor spends on
    reading the weights, not on products.
    """
    kind = next(modules[0].parameters()).device.type
    with inference(*modules), torch.autocast(kind, enabled=False):
        yield
