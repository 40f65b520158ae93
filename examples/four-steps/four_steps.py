"""Tokenize, encode, pre-train, fine-tune: the four steps of pre-training a language model, each of them real.

    python examples/four-steps/four_steps.py [--minutes 1] [--folder runs/four-steps]

It reads the book that comes with lmkit, and leaves two runs in the folder.
"""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

import lmkit

BOOK = str(files("lmkit") / "demo" / "robin_hood.md")
TEXT = {"train": [BOOK], "document": "paragraph", "validation": 0.02}


def main(folder: Path, minutes: float) -> None:
    # 1. Pre-train. The tokenizer is trained on the same text first, then a BERT learns to fill what is masked.
    recipe = {
        "tokenizer": {"use": "wordpiece", "vocab_size": 3000},
        "data": TEXT,
        "encoder": {"use": "bert", "layers": 2, "width": 128},
        "objective": {"use": "mlm", "rate": 0.2},
        "train": {"minutes": minutes, "block_tokens": 64, "batch_tokens": 2048},
    }
    run = lmkit.pretrain(recipe, run=folder / "bert")

    # 2. Tokenize. Ids, and where in the text each of them stands.
    text = "Robin Hood drew his bow."
    encoding = run.tokenizer.encode(text)
    pieces = [text[start:end] for start, end in encoding.offsets]
    print("tokenized:", dict(zip(pieces, encoding.ids.tolist(), strict=True)))

    # 3. Encode. A state for each token, and one for the text; they unpack, and have names.
    hidden, pooled = run.encode(text)
    print("encoded:", tuple(hidden.shape), tuple(pooled.shape))
    print("filled:", run.fill("Robin Hood drew his [MASK].")["text"])

    # 4. Fine-tune. Word prediction on the text that it is to be good at; classification and others work the same way.
    task = {
        "task": {"use": "fill-mask", "top_k": 3},
        "data": TEXT,
        "train": {"minutes": minutes / 4, "batch_tokens": 2048, "learning_rate": 0.001, "matrix_learning_rate": 0.005},
    }
    tuned = lmkit.finetune(run, task, run=folder / "tuned")
    for candidates in tuned.fill("Then Little [MASK] laughed aloud.")["masks"]:
        print("predicted:", ", ".join(f"{c['token']} {c['probability']:.0%}" for c in candidates))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="minutes of pre-training")
    parser.add_argument("--folder", type=Path, default=Path("runs/four-steps"), help="where the runs go; new")
    asked = parser.parse_args()
    main(asked.folder, asked.minutes)
