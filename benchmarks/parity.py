"""Each architecture and tokenizer against transformers' own: states, scores, weights there and back, ids of hard texts.

    python -m benchmarks.parity --data DATA

`DATA` is what LMKIT_DATA names.  Every model is lmkit's default shape, 4 layers x 256, after five steps on a book.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lmkit_transformers.compare import difference
from lmkit_transformers.kinds import KINDS
from transformers import AutoModel, AutoTokenizer

import lmkit
from lmkit.interfaces import Trained
from plugins.conftest import hard_texts

ENCODERS: dict[str, tuple[dict[str, Any], str, str]] = {
    "bert": ({"use": "bert"}, "mlm", "wordpiece"),
    "modernbert": ({"use": "modernbert"}, "mlm", "wordpiece"),
    "gpt2": ({"use": "gpt2"}, "clm", "bpe"),
    "qwen3": ({"use": "qwen3"}, "clm", "bpe"),
    "qwen3, its scores by another matrix": ({"use": "qwen3", "tied": False}, "clm", "bpe"),
    "t5, as in the paper": ({"use": "t5", "gated": False, "scaled": True}, "span-denoising", "bpe"),
    "t5, as T5 1.1": ({"use": "t5", "tied": False}, "span-denoising", "bpe"),
}
"""Name -> encoder, objective, tokenizer."""
TOKENIZERS = ("wordpiece", "bpe", "unigram", "bytes")


def trained(folder: Path, data: Path, encoder: dict[str, Any], objective: str, tokenizer: str) -> lmkit.Run:
    marks = {"marks": 100} if objective == "span-denoising" else {}
    size = {} if tokenizer == "bytes" else {"vocab_size": 8192}
    recipe = {
        "tokenizer": {"use": tokenizer, **size, **marks},
        "data": {"train": [str(min((data / "books" / "validation").rglob("*.md")))]},
        "encoder": encoder,
        "objective": {"use": objective},
        "train": {"steps": 5, "block_tokens": 128, "batch_tokens": 1024, "compile": "off"},
    }
    return lmkit.pretrain(recipe, run=folder, quiet=True)


def encoder_row(name: str, folder: Path, data: Path) -> str:
    run = trained(folder / "run", data, *ENCODERS[name])
    said = lmkit.export(run, to="transformers", out=folder / "out")
    module = run.module
    model = Trained(tokenizer=run.tokenizer, encoder=module.encoder, objective=module.objective, head=module.head)
    states = difference(model, KINDS["embedding"], AutoModel.from_pretrained(folder / "out", dtype=torch.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what an export leaves out is told again by the import
        again = lmkit.import_model(folder / "out", run=folder / "again")
    ours, theirs = module.state_dict(), again.module.state_dict()
    assert ours.keys() == theirs.keys()
    unlike = [key for key in ours if not torch.equal(ours[key], theirs[key])]
    left = ", ".join(said["left_out"]) or "none"
    same = f"{len(ours) - len(unlike)} of {len(ours)}"
    return f"| {name} | {said['class']} | {states:.1e} | {said['largest_difference']:.1e} | {same} | {left} |"


def tokenizer_row(name: str, folder: Path, data: Path, texts: list[str]) -> str:
    ours = trained(folder / "run", data, {"use": "gpt2"}, "clm", name).tokenizer
    (folder / "saved").mkdir()
    ours.save(folder / "saved")
    theirs = AutoTokenizer.from_pretrained(folder / "saved")
    ids, found = ours.encode_batch(texts), theirs(texts)["input_ids"]
    pairs = list(zip(ids, found, strict=True))
    other_ids = sum(ours.wrap(one).ids.tolist() != other for one, other in pairs)
    other_texts = sum(ours.decode(one) != theirs.decode(other, skip_special_tokens=True) for one, other in pairs)
    return f"| {name} | {len(texts):,} | {sum(map(len, ids)):,} | {other_ids} | {other_texts} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="what LMKIT_DATA names")
    options = parser.parse_args()
    print("| encoder | class | states | scores | weights that come back equal | left out |\n|---|---|---|---|---|---|")
    for name in ENCODERS:
        with TemporaryDirectory() as folder:
            print(encoder_row(name, Path(folder), options.data), flush=True)
    print("\n| tokenizer | texts | tokens | texts with other ids | with another text |\n|---|---|---|---|---|")
    texts = hard_texts(options.data)
    for name in TOKENIZERS:
        with TemporaryDirectory() as folder:
            print(tokenizer_row(name, Path(folder), options.data, texts), flush=True)


if __name__ == "__main__":
    main()
