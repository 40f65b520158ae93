"""What the peers' loops share: a row's model, blocks and collator, their settings, and the figures that are printed."""

from __future__ import annotations

import argparse
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import attrs
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from benchmarks.places import can_compile
from benchmarks.training.blocks import prepare
from benchmarks.training.peer_models import build_model, collator
from benchmarks.training.workloads import WORKLOADS, Shape
from lmkit.engine.device import computes_in_bf16


@attrs.define(kw_only=True)
class Peer:
    """A row as transformers has it, as it comes or at the best setting that was found."""

    objective: str
    shape: Shape
    model: PreTrainedModel
    blocks: Any
    collate: Any
    best: bool
    """No dropout, bf16 where the processor has it, torch.compile where a compiler is; else fp32, dropout 0.1."""
    micro: int
    """Blocks of one forward and backward pass."""
    steps: int
    warmup_steps: int
    dropout: float

    @property
    def accumulation(self) -> int:
        return self.shape.rows // self.micro

    @property
    def bf16(self) -> bool:
        return self.best and computes_in_bf16("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def compiles(self) -> bool:
        return self.best and can_compile()

    def batch(self) -> Mapping[str, torch.Tensor]:
        """The first blocks, as many as a pass reads."""
        batch: Mapping[str, torch.Tensor] = self.collate([self.blocks[number] for number in range(self.micro)])
        return batch

    def tell(self, ends: Sequence[float], loss: float, **config: Any) -> None:
        """Print what was measured; `ends` are the moments at which the steps ended."""
        batch = self.batch()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            self.model(**batch)
        tokens = self.shape.block_tokens * self.micro
        if self.objective == "span-denoising":  # what is read, and what is predicted
            tokens = sum(part.numel() for part in batch.values())
        measured = ends[self.warmup_steps - 1 :]
        result = {
            "seconds": [after - before for before, after in itertools.pairwise(measured)],
            "work": tokens * self.accumulation,
            "flops": 3 * counter.get_total_flops() / tokens,
            "loss": loss,
            "config": {
                "model": type(self.model).__name__,
                "parameters": self.model.num_parameters(),
                "dropout": self.dropout,
                "bf16": self.bf16,
                "compiled": self.compiles,
                "threads": torch.get_num_threads(),
                "blocks a pass": self.micro,
                **config,
            },
        }
        print(json.dumps(result))


def peer(about: str | None) -> Peer:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("row", choices=WORKLOADS)
    parser.add_argument("--best", action="store_true")
    parser.add_argument("--micro", type=int, help="blocks of a pass; by default all of a step")
    parser.add_argument("--steps", type=int, help="measured steps; by default 12, or as many as the shape says")
    parser.add_argument("--warmup-steps", type=int, default=4, help="steps before those, thrown away")
    options = parser.parse_args()
    workload = WORKLOADS[options.row]
    shape = workload.shape
    blocks, tokenizer = prepare("mlm" if workload.objective == "mlm" else "clm", shape)
    dropout = 0.0 if options.best else 0.1
    return Peer(
        objective=workload.objective,
        shape=shape,
        model=build_model(workload.encoder, shape, dropout=dropout),
        blocks=blocks,
        collate=collator(workload.objective, tokenizer, shape.vocabulary),
        best=options.best,
        micro=options.micro or shape.rows,
        steps=options.steps or min(12, shape.steps),
        warmup_steps=options.warmup_steps,
        dropout=dropout,
    )
