"""The step: sums divided by counts, once. The same for every objective, micro-batch split and number of processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import record_function

from lmkit.batch import Batch
from lmkit.engine.distributed import Processes
from lmkit.engine.parallel import whole

Losses = Callable[[Batch], Mapping[str, Tensor]]

PARTS = ("step: batch", "step: forward", "step: backward", "step: clip", "step: optimizer")
"""By which names a profiler finds the parts of a step."""
BATCH, FORWARD, BACKWARD, CLIP, OPTIMIZER = PARTS


@attrs.frozen(kw_only=True)
class StepResult:
    """What a forward and backward pass over a batch found."""

    loss: float
    """Weighted sum of the terms' means."""
    terms: Mapping[str, float]
    """Mean of each term over all its predictions."""
    tokens: int
    """Tokens without filler, over all processes."""
    processes: int = 1


def backward(
    losses: Losses,
    batches: Sequence[Batch],
    weights: Mapping[str, float],
    *,
    processes: Processes,
    autocast: Callable[[], AbstractContextManager[None]],
    seed_micro_batch: Callable[[int], None],
    syncing: Callable[[bool], AbstractContextManager[Any]] = nullcontext,
) -> StepResult:
    """Add the gradient of the batch's loss to the parameters; `batches` are its micro-batches on this process.

    One of no tokens only keeps time with the other processes.  `syncing(True)` is entered for the last one.
    """
    counts = processes.sum({term: sum(b.counts[term] for b in batches) for term in weights})
    totals = dict.fromkeys(weights, 0.0)
    for number, batch in enumerate(batches):
        seed_micro_batch(number)
        worth = processes.world if batch.tokens else 0
        with syncing(number == len(batches) - 1):
            with record_function(FORWARD), autocast():
                sums = losses(batch)
                scaled = [weights[term] * sums[term] / max(counts[term], 1) for term in weights]
                loss = torch.stack(scaled).sum() * worth
            with record_function(BACKWARD):
                loss.backward()  # type: ignore[no-untyped-call]
        if batch.tokens:
            for term in weights:
                totals[term] += float(sums[term].detach())
    summed = processes.sum({**totals, " tokens": float(sum(b.tokens for b in batches))})
    terms = {term: summed[term] / max(counts[term], 1) for term in weights}
    return StepResult(
        loss=sum(weights[term] * mean for term, mean in terms.items()),
        terms=terms,
        tokens=int(summed[" tokens"]),
        processes=processes.world,
    )


def clip(model: nn.Module, largest: float) -> float:
    """Norm of the gradient, which is scaled down to `largest` where it exceeds that; 0: only measured."""
    with record_function(CLIP):
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        norm = whole(torch.nn.utils.get_total_norm(gradients))
        if largest:
            torch.nn.utils.clip_grads_with_norm_([p for p in model.parameters() if p.grad is not None], largest, norm)
        return float(norm)


def seed_dropout(*entropy: int) -> None:
    """Seed torch by (seed, step, rank, micro-batch), so that a resumed run draws the same with no state to save."""
    torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1)))
