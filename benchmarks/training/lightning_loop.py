"""A peer: Lightning's loop around the same model of transformers, with AdamW.

Its own logger, bar and checkpoints are off.  At its best: bf16-mixed, no dropout, torch.compile where a compiler is.
"""

import time
import warnings
from typing import Any

import torch

from benchmarks.training.peer import Peer, peer

# isort: split
import lightning
from torch.utils.data import DataLoader


class Module(lightning.LightningModule):  # type: ignore[misc]
    """The model, its loss and its optimizer; and the moment at which each step ended."""

    def __init__(self, it: Peer) -> None:
        super().__init__()
        self.model = it.model
        self.losses = torch.compile(it.model) if it.compiles else it.model
        self.ends: list[float] = []
        self.newest = 0.0

    def training_step(self, batch: Any, number: int) -> torch.Tensor:
        loss: torch.Tensor = self.losses(**batch).loss
        self.newest = float(loss.detach())
        return loss

    def on_train_batch_end(self, *args: Any) -> None:
        if self.trainer.global_step > len(self.ends):
            self.ends.append(time.perf_counter())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=5e-5)  # the fused one does not clip there


def main() -> None:
    it = peer(__doc__)
    warnings.filterwarnings("ignore", module="lightning")
    lightning.seed_everything(1, verbose=False)
    module = Module(it)
    trainer = lightning.Trainer(
        max_steps=it.warmup_steps + it.steps,
        precision="bf16-mixed" if it.bf16 else "32-true",
        accumulate_grad_batches=it.accumulation,
        gradient_clip_val=1.0,
        accelerator="cpu" if not torch.cuda.is_available() else "auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(it.blocks, batch_size=it.micro, shuffle=True, collate_fn=it.collate))
    it.tell(module.ends, module.newest, optimizer="adamw", lightning=lightning.__version__)


if __name__ == "__main__":
    main()
