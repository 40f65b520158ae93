"""What the rows share on the Trainer's side: 100 made-up words, a tiny model of each objective, a run."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
import transformers
from tokenizers import Tokenizer, models
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = 100
TINY = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}

Row = dict[str, Any]


class Rows(torch.utils.data.Dataset[Row]):
    """Rows in memory."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]


def blocks(count: int = 64) -> Rows:
    """Blocks of 32 random words, to be masked by a collator."""
    ids = torch.randint(len(SPECIAL), VOCABULARY, (count, 32), generator=torch.Generator().manual_seed(0))
    return Rows([{"input_ids": row.tolist()} for row in ids])


def masked_blocks(count: int = 64, *, rate: float | None = 0.3) -> Rows:
    """Blocks whose masks are fixed, so that only the trainer can differ; `rate` None: another one for each block."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(len(SPECIAL), VOCABULARY, (count, 32), generator=generator)
    drawn = torch.rand(ids.shape, generator=generator)
    masked = drawn < (torch.rand(count, 1, generator=generator) if rate is None else rate)
    labels = ids.where(masked, -100)
    inputs = ids.masked_fill(masked, SPECIAL.index("[MASK]"))
    return Rows([{"input_ids": i, "labels": t} for i, t in zip(inputs, labels, strict=True)])


def collator(objective: str) -> DataCollatorForLanguageModeling:
    """The Trainer's own collator of "mlm" or "clm"."""
    words = [*SPECIAL, *(f"word{n}" for n in range(VOCABULARY - len(SPECIAL)))]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, "[UNK]")),
        **{f"{token[1:-1].lower()}_token": token for token in SPECIAL},
    )
    return DataCollatorForLanguageModeling(tokenizer, mlm=objective == "mlm", mlm_probability=0.3)


def model(objective: str, *, dropout: float = 0.0) -> PreTrainedModel:
    """A tiny model for "mlm" or "clm"; the same weights at every call."""
    torch.manual_seed(0)
    if objective == "mlm":
        return BertForMaskedLM(BertConfig(**TINY, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout))
    dropouts = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=1, n_head=2, **dropouts, **ends))


def trainer(built: PreTrainedModel, folder: Path, *, data: Rows, objective: str | None, **arguments: Any) -> Trainer:
    """A Trainer that logs every step; `objective` None: the rows have their labels."""
    chosen = {"logging_steps": 1, "save_strategy": "no", "disable_tqdm": True, "use_cpu": True, "seed": 7}
    return Trainer(
        built,
        TrainingArguments(str(folder), **(chosen | arguments)),
        train_dataset=data,
        eval_dataset=data,
        data_collator=None if objective is None else collator(objective),
    )


def losses(finished: Trainer) -> dict[int, float]:
    """Step -> logged loss."""
    return {entry["step"]: float(entry["loss"]) for entry in finished.state.log_history if "loss" in entry}
