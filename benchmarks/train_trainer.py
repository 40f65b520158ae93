"""The peer: transformers' Trainer on BertForMaskedLM or GPT2LMHeadModel, as it comes or at the best setting we found.

As it comes: fp32, dropout 0.1, its own optimizer and loader.  Best: bf16 autocast, no dropout, torch.compile where a
compiler is installed.
"""

import argparse
import itertools
import json
import os
import tempfile
import time
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from benchmarks.blocks import prepare
from benchmarks.shape import BLOCK_TOKENS, HEADS, LAYERS, ROWS, STEP_TOKENS, VOCABULARY, WIDTH, can_compile


class Clock(TrainerCallback):  # type: ignore[misc]
    """The moment at which each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.ends.append(time.perf_counter())


def build_model(objective: str, *, dropout: float) -> PreTrainedModel:
    """A fresh model of the shape of all training rows."""
    torch.manual_seed(1)
    if objective == "mlm":
        return BertForMaskedLM(
            BertConfig(
                vocab_size=VOCABULARY,
                hidden_size=WIDTH,
                num_hidden_layers=LAYERS,
                num_attention_heads=HEADS,
                intermediate_size=4 * WIDTH,
                max_position_embeddings=BLOCK_TOKENS,
                hidden_dropout_prob=dropout,
                attention_probs_dropout_prob=dropout,
            )
        )
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY,
            n_embd=WIDTH,
            n_layer=LAYERS,
            n_head=HEADS,
            n_positions=BLOCK_TOKENS,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=dropout,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("objective", choices=["mlm", "clm"])
    parser.add_argument("--best", action="store_true")
    parser.add_argument("--steps", type=int, default=12, help="measured steps")
    parser.add_argument("--warmup-steps", type=int, default=4, help="steps before those, thrown away")
    options = parser.parse_args()
    blocks, tokenizer = prepare(options.objective)
    best = {"bf16": True, "use_cpu": not torch.cuda.is_available(), "torch_compile": can_compile()}
    changes = best if options.best else {}
    dropout = 0.0 if options.best else 0.1
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            build_model(options.objective, dropout=dropout),
            TrainingArguments(
                folder,
                per_device_train_batch_size=ROWS,
                max_steps=options.warmup_steps + options.steps,
                save_strategy="no",
                disable_tqdm=True,
                **changes,
            ),
            train_dataset=blocks,
            data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=options.objective == "mlm"),
            callbacks=[clock],
        )
        done = trainer.train()
    measured = clock.ends[options.warmup_steps - 1 :]
    result = {
        "seconds": [after - before for before, after in itertools.pairwise(measured)],
        "step_tokens": STEP_TOKENS,
        "loss": done.training_loss,
        "threads": torch.get_num_threads(),
        "config": {
            "model": type(trainer.model).__name__,
            "parameters": trainer.model.num_parameters(),
            "dropout": dropout,
            **changes,
            "optimizer": trainer.args.optim.value,
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
