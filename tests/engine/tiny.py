"""A real tiny model for the engine, which knows nothing of lmkit's components: it predicts each token from itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from lmkit.batch import Batch, Example, pack
from lmkit.engine.device import choose
from lmkit.engine.events import Event
from lmkit.engine.loop import Engine
from lmkit.engine.saving import Saving
from lmkit.engine.settings import Training

VOCABULARY = 17
LENGTH = 8


class Copy(nn.Module):
    """Two layers with dropout that learn to repeat a token; odd tokens and even tokens are two terms of its loss."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 16)
        self.hidden = nn.Linear(16, 16)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(16, VOCABULARY)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        tokens = batch.inputs.tokens
        hidden = self.embedding(tokens) + self.dropout(torch.relu(self.hidden(self.embedding(tokens))))
        losses = nn.functional.cross_entropy(self.out(hidden), tokens, reduction="none")
        return {"odd": losses[tokens % 2 == 1].sum(), "even": losses[tokens % 2 == 0].sum()}

    def roles(self) -> dict[str, str]:
        return {
            "embedding.weight": "embedding",
            "hidden.weight": "hidden",
            "hidden.bias": "scalar",
            "out.weight": "head",
            "out.bias": "scalar",
        }


class Source:
    """Examples that are a function of their position alone."""

    def __init__(self, poison: int | None = None) -> None:
        self.poison = poison

    def __len__(self) -> int:
        return 50

    def examples(self, position: int, count: int) -> list[Example]:
        return [self._example(p) for p in range(position, position + count)]

    def _example(self, position: int) -> Example:
        tokens = np.random.default_rng(position).integers(0, VOCABULARY, LENGTH)
        return Example(tokens=tokens, lengths=(LENGTH,), key=(1, position // 50, position % 50), capacity=LENGTH)


def collate(examples: Sequence[Example], progress: float | None) -> Batch:
    """Odd and even tokens are counted apart."""
    inputs, _ = pack(examples, attention="bidirectional", filler=0)
    odd = int((inputs.tokens % 2 == 1).sum())
    total = inputs.tokens.numel()
    return Batch(inputs=inputs, counts={"odd": odd, "even": total - odd}, tokens=total)


@attrs.define
class Recorder:
    """Keeps every event."""

    events: list[Event] = attrs.field(factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def build(
    *,
    dropout: float = 0.0,
    saving: Saving | None = None,
    model: nn.Module | None = None,
    source: Source | None = None,
    collate: Any = collate,
    **settings: Any,
) -> tuple[Engine, Recorder]:
    """An engine over the tiny model, with 16 examples a step, in fp32."""
    budget = {} if {"tokens", "epochs", "minutes"} & settings.keys() else {"steps": 6}
    chosen = Training(
        **{
            "block_tokens": LENGTH,
            "batch_tokens": 16 * LENGTH,
            "precision": "fp32",
            "compile": "off",
            "threads": 1,
            "evaluate_every_steps": 0,
            "learning_rate": 0.01,
        }
        | budget
        | settings
    )
    if model is None:
        torch.manual_seed(0)
        model = Copy(dropout)
    recorder = Recorder()
    engine = Engine(
        model=model,
        measure=model,
        roles=Copy(0).roles(),
        layers=[],
        weights={"odd": 1.0, "even": 0.5},
        source=source or Source(),
        collate=collate,
        validation={"held-out": Source().examples(1000, 21)},
        example_tokens=LENGTH,
        settings=chosen,
        choices=choose(chosen, long_run=False),
        seed=3,
        observers=[recorder],
        saving=saving,
    )
    return engine, recorder


def weights_of(engine: Engine) -> dict[str, Tensor]:
    """A copy of the parameters."""
    return {name: p.detach().clone() for name, p in engine.model.named_parameters()}
