"""Validation: sums over a whole set, divided once. The batch size never changes the result."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import attrs
import torch
from torch import Tensor, nn

from lmkit.batch import Batch, Example
from lmkit.engine.best import Judge
from lmkit.engine.device import Choices
from lmkit.engine.distributed import Processes
from lmkit.engine.events import Evaluated


@attrs.frozen
class Totals:
    """What was found over a whole set."""

    sums: Mapping[str, float]
    """Each term's loss, and what else the objective measures, as "term.what"."""
    counts: Mapping[str, int]
    """Predictions of each term."""

    @property
    def means(self) -> dict[str, float]:
        """Each sum divided by the count of the term before its dot."""
        return {name: total / max(self.counts[name.partition(".")[0]], 1) for name, total in self.sums.items()}


def measure_all(
    model: nn.Module,
    measure: Callable[[Batch], Mapping[str, Tensor]],
    examples: Sequence[Example],
    collate: Callable[[Sequence[Example], float | None], Batch],
    *,
    batch_examples: int,
    device: str,
    processes: Processes,
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
    stop: Callable[[], bool] = lambda: False,
) -> Totals | None:
    """Score `examples` in order, `batch_examples` at a time; None where `stop` said so before the end."""
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    was_training = model.training
    model.eval()
    mine, stride = processes.rank * batch_examples, batch_examples * processes.world
    try:
        with torch.no_grad() if processes.world > 1 else torch.inference_mode():
            for start in range(0, len(examples), stride):
                if processes.world == 1 and stop():
                    return None
                part = examples[start + mine : start + mine + batch_examples]
                batch = collate(part or examples[:1], None).to(device)  # all keep time, whoever has none left
                with autocast():
                    found = measure(batch)
                for name, value in found.items():
                    sums[name] += float(value) if part else 0.0
                for term, count in batch.counts.items():
                    counts[term] += count if part else 0
    finally:
        model.train(was_training)
    return Totals(processes.sum(sums), processes.sum(counts))


@attrs.frozen(kw_only=True)
class Validator:
    """Scores a model on every validation set."""

    model: nn.Module
    measure: Callable[[Batch], Mapping[str, Tensor]]
    sets: Mapping[str, Sequence[Example]]
    collate: Callable[[Sequence[Example], float | None], Batch]
    weights: Mapping[str, float]
    judge: Judge | None
    choices: Choices
    processes: Processes

    def scores(self, step: int, *, batch_examples: int, stop: Callable[[], bool]) -> Iterator[Evaluated]:
        """What was found on each set; ends before all are scored where `stop` says so."""
        for name, examples in self.sets.items():
            begun = time.perf_counter()
            totals = measure_all(
                self.model,
                self.measure,
                examples,
                self.collate,
                batch_examples=batch_examples,
                device=self.choices.device,
                processes=self.processes,
                autocast=self.choices.autocast,
                stop=stop,
            )
            if totals is None:
                return
            with self.choices.autocast():  # as the model will answer
                more = self.judge.metrics(name) if self.judge is not None else {}
            means = totals.means
            told = {what: value for what, value in means.items() if what.partition(".")[2] not in more}
            yield Evaluated(
                step=step,
                name=name,
                loss=sum(weight * means[term] for term, weight in self.weights.items()),
                terms={**told, **more},
                seconds=time.perf_counter() - begun,
            )
