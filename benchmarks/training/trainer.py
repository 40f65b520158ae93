"""A peer: transformers' Trainer on its own model of a row, as it comes or at the best setting we found.

As it comes: fp32, dropout 0.1, its own optimizer and loader.  Best: no dropout, bf16 autocast where the processor
computes in it, torch.compile where a compiler is.
"""

import tempfile

import torch

from benchmarks.clock import Clock
from benchmarks.training.peer import peer  # these first: they say that nothing is fetched

# isort: split
from transformers import Trainer, TrainingArguments


def main() -> None:
    it = peer(__doc__)
    changes = (
        {"bf16": it.bf16, "use_cpu": not torch.cuda.is_available(), "torch_compile": it.compiles} if it.best else {}
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            it.model,
            TrainingArguments(
                folder,
                per_device_train_batch_size=it.micro,
                gradient_accumulation_steps=it.accumulation,
                max_steps=it.warmup_steps + it.steps,
                save_strategy="no",
                disable_tqdm=True,
                **changes,
            ),
            train_dataset=it.blocks,
            data_collator=it.collate,
            callbacks=[clock],
        )
        done = trainer.train()
    it.tell(clock.ends, done.training_loss, optimizer=trainer.args.optim.value)


if __name__ == "__main__":
    main()
