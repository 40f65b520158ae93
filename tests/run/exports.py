"""Tiny runs of every encoder and head that leave for transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lmkit
from tests.run.labelled import TRAIN

SMALL = {"layers": 2, "width": 32, "heads": 2}
ENCODERS: dict[str, dict[str, Any]] = {
    "bert": {**SMALL, "positions": 64},
    "modernbert": {**SMALL, "window": 8, "global_every": 2},
    "gpt2": {**SMALL, "positions": 64},
    "qwen3": {**SMALL, "head_width": 16},
    "t5": {**SMALL, "head_width": 16, "gated": False, "scaled": True},
}
PRETRAINED = {
    ("bert", "mlm"): "BertForMaskedLM",
    ("bert", "clm"): "BertLMHeadModel",
    ("bert", "rtd"): "BertModel",
    ("modernbert", "mlm"): "ModernBertForMaskedLM",
    ("gpt2", "clm"): "GPT2LMHeadModel",
    ("gpt2", "hybrid"): "GPT2LMHeadModel",
    ("qwen3", "clm"): "Qwen3ForCausalLM",
    ("t5", "span-denoising"): "T5ForConditionalGeneration",
}
"""(encoder, objective) -> the class that it is exported as."""

TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "classification": ("ForSequenceClassification", {}),
    "regression": ("ForSequenceClassification", {"label_column": "number", "lowest": -1.0, "highest": 3.0}),
    "token-classification": ("ForTokenClassification", {}),
    "question-answering": ("ForQuestionAnswering", {}),
    "multiple-choice": ("ForMultipleChoice", {"ending_columns": ["one", "other"], "label_column": "right"}),
    "embedding": ("Model", {}),
}
"""Task -> the end of its class's name, and its fields."""
CAUSAL: dict[str, Any] = {"attention": "causal"}
GPT_TASKS = ("classification", "token-classification", "question-answering", "embedding")
FINETUNED: dict[tuple[str, str], dict[str, Any]] = {
    **{("bert", task): {} for task in TASKS},
    **{("modernbert", task): {} for task in TASKS},
    ("modernbert", "classification"): {"pooling": "mean"},
    **{(name, task): CAUSAL for name in ("gpt2", "qwen3") for task in GPT_TASKS},
    **{(name, "regression"): {**CAUSAL, "lowest": 0.0} for name in ("gpt2", "qwen3")},  # their class has no bias
    ("t5", "token-classification"): {},
}
NAMES = {"bert": "Bert", "modernbert": "ModernBert", "gpt2": "GPT2", "qwen3": "Qwen3", "t5": "T5"}


def pretrained(folder: Path, encoder: str, objective: str, **options: Any) -> lmkit.Run:
    song = folder / "song.txt"
    song.write_text("Robin Hood in greenwood stood, and under a tree was he.\n" * 40)
    wordpiece = {"use": "wordpiece", "vocab_size": 300}
    bpe = {"use": "bpe", "vocab_size": 380, "marks": 20}
    options = {"hybrid": {"causal_share": 0.5}, "rtd": {"generator": 0.5}}.get(objective, {}) | options
    return lmkit.pretrain(
        {
            "tokenizer": wordpiece if encoder in ("bert", "modernbert") else bpe,
            "data": {"train": [str(song)], "document": "line"},
            "encoder": {"use": encoder, **ENCODERS[encoder]},
            "objective": {"use": objective, **options},
            "train": {**TRAIN, "steps": 3, "block_tokens": 32, "batch_tokens": 256, "learning_rate": 0.01},
        },
        run=folder / f"{encoder}-{objective}",
        quiet=True,
    )


def finetuned(folder: Path, start: lmkit.Run, task: str, options: dict[str, Any]) -> lmkit.Run:
    made = [
        {
            "text": f"Robin {n} stood in greenwood",
            "pair": "and a tree was he",
            "similarity": (n % 5) / 5,
            "label": ("good", "bad")[n % 2],
            "number": n % 3,
            "tokens": ["Robin", "stood", str(n)],
            "tags": ["B-PER", "O", "O"],
            "question": "Who stood?",
            "context": f"Robin {n} stood in greenwood",
            "answers": [{"text": "Robin", "answer_start": 0}],
            "prompt": "Robin",
            "one": "stood",
            "other": "sat",
            "right": 0,
        }
        for n in range(16)
    ]
    path = folder / f"{task}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    table = {
        "task": {"use": task, **TASKS[task][1], **options},
        "data": {"train": [str(path)]},
        "train": {**TRAIN, "steps": 3, "batch_tokens": 256, "learning_rate": 0.01},
    }
    return lmkit.finetune(start, table, run=folder / f"run-{task}", quiet=True)
