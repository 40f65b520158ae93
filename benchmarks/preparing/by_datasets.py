"""The peer: `datasets`, as transformers' example scripts use it: text -> map(tokenize) -> map(group), two processes."""

import json
import os
import tempfile
import time
from itertools import chain
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from datasets import disable_progress_bars, load_dataset
from transformers import PreTrainedTokenizerFast

from benchmarks.preparing.corpus import corpus
from benchmarks.preparing.ours import BLOCK_TOKENS, MEGABYTES

PROCESSES = 2


def main() -> None:
    folder = corpus(MEGABYTES)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    disable_progress_bars()

    def tokenize(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"input_ids": tokenizer(rows["text"])["input_ids"]}

    def group(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        joined = list(chain.from_iterable(rows["input_ids"]))
        whole = len(joined) // BLOCK_TOKENS * BLOCK_TOKENS
        return {"input_ids": [joined[i : i + BLOCK_TOKENS] for i in range(0, whole, BLOCK_TOKENS)]}

    with tempfile.TemporaryDirectory() as cache:
        options = {"sample_by": "paragraph", "encoding_errors": "ignore"}
        begun = time.perf_counter()
        texts = load_dataset("text", data_files=str(folder / "corpus.txt"), split="train", cache_dir=cache, **options)
        tokens = texts.map(tokenize, batched=True, num_proc=PROCESSES, remove_columns=["text"])
        blocks = tokens.map(group, batched=True, num_proc=PROCESSES)
        seconds = time.perf_counter() - begun
        config = {"documents": len(texts), "blocks": len(blocks), "processes": PROCESSES, "sample_by": "paragraph"}
    print(json.dumps({"seconds": [seconds], "work": MEGABYTES, "config": config}))


if __name__ == "__main__":
    main()
