"""Validation: sums over a whole set, divided once. The batch size never changes the result."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from lmkit.batch import Batch, Example
from lmkit.engine.distributed import Processes
from lmkit.engine.events import Evaluated


def validate(
    model: nn.Module,
    measure: Callable[[Batch], Mapping[str, Tensor]],
    examples: Sequence[Example],
    collate: Callable[[Sequence[Example], float | None], Batch],
    *,
    name: str,
    step: int,
    weights: Mapping[str, float],
    batch_examples: int,
    device: str,
    processes: Processes,
    autocast: Callable[[], AbstractContextManager[None]],
    stop: Callable[[], bool] = lambda: False,
) -> Evaluated | None:
    """Score `examples` in order, `batch_examples` at a time; None where `stop` said so before the end."""
    begun = time.perf_counter()
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    was_training = model.training
    model.eval()
    stride = batch_examples * processes.world
    try:
        with torch.inference_mode(), autocast():
            for start in range(processes.rank * batch_examples, len(examples), stride):
                if stop():
                    return None
                batch = collate(examples[start : start + batch_examples], None).to(device)
                for term, value in measure(batch).items():
                    sums[term] += float(value)
                for term, count in batch.counts.items():
                    counts[term] += count
    finally:
        model.train(was_training)
    sums, counts = processes.sum(sums), processes.sum(counts)
    means = {term: total / max(counts[term.partition(".")[0]], 1) for term, total in sums.items()}
    loss = sum(weight * means[term] for term, weight in weights.items())
    return Evaluated(step=step, name=name, loss=loss, terms=means, seconds=time.perf_counter() - begun)
