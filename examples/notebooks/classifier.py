# %% [markdown]
# # A classifier, and where it is wrong
#
# A model reads a book's worth of text, learns kind from unkind film reviews from 400 rows, and is looked at where it
# fails. Open this file as a notebook (`jupytext --to ipynb classifier.py`, or as it is in VS Code), or run it.

# %%
import json
from importlib.resources import files
from pathlib import Path
from tempfile import mkdtemp

import lmkit

MINUTES = 1.0
EPOCHS = 5
reviews = next(path.resolve() for path in map(Path, ("../classification", "examples/classification")) if path.is_dir())
folder = Path(mkdtemp())

# %% [markdown]
# ## Read first
#
# The reviews themselves are text too: the model reads them, without their labels, beside the book.

# %%
rows = [json.loads(line) for line in (reviews / "train.jsonl").read_text(encoding="utf-8").splitlines()]
(folder / "reviews.txt").write_text("\n".join(row["text"] for row in rows), encoding="utf-8")
reader = lmkit.pretrain(
    {
        "tokenizer": {"use": "wordpiece", "vocab_size": 4000},
        "data": {
            "train": [str(files("lmkit") / "demo" / "robin_hood.md"), str(folder / "reviews.txt")],
            "document": "line",
        },
        "encoder": {"use": "bert", "layers": 2, "width": 128},
        "objective": {"use": "mlm"},
        "train": {"minutes": MINUTES, "block_tokens": 64, "batch_tokens": 2048},
    },
    run=folder / "reader",
    quiet=True,
)
reader

# %% [markdown]
# ## Then learn the labels

# %%
classifier = lmkit.finetune(
    reader,
    {
        "task": {"use": "classification", "pooling": "mean"},
        "data": {"train": [str(reviews / "train.jsonl")], "validation": [str(reviews / "validation.jsonl")]},
        "train": {"epochs": EPOCHS, "batch_tokens": 2048, "optimizer": "adamw", "learning_rate": 0.0005},
    },
    run=folder / "reviews",
    quiet=True,
)
scores = lmkit.evaluate(classifier, rows=reviews / "validation.jsonl")["rows"]
print(f"accuracy {scores['accuracy']:.2f}, of 100 reviews that it has not seen")

# %% [markdown]
# ## The surest of its mistakes

# %%
held = [json.loads(line) for line in (reviews / "validation.jsonl").read_text(encoding="utf-8").splitlines()]
answers = list(classifier.predict(row["text"] for row in held))
wrong = [
    (max(answer["probabilities"].values()), answer["label"], row["text"])
    for row, answer in zip(held, answers, strict=True)
    if answer["label"] != row["label"]
]
for sure, said, text in sorted(wrong, reverse=True)[:5]:
    print(f"{sure:.2f} {said}: {text}")
