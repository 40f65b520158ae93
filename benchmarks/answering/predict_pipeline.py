"""The peer: transformers' pipeline on the same weights, as it comes or at the best setting that was found.

As it comes: fp32, a row at a time.  Best: bf16, 32 rows at a time, the longest first.
"""

import argparse
import json
import os
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import pipeline

from benchmarks.answering.subjects import rows_of, subject

WARM_UP = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--best", action="store_true")
    options = parser.parse_args()
    texts = [row["text"] for row in rows_of("test") + rows_of("validation")]
    changes = {"dtype": torch.bfloat16, "batch_size": 32} if options.best else {}
    classify = pipeline("text-classification", model=str(subject("classifier.hf")), **changes)
    classify(texts[:WARM_UP])
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        asked = sorted(texts, key=len, reverse=True) if options.best else texts
        answers = classify(asked)
        seconds.append(time.perf_counter() - begun)
    assert len(answers) == len(texts)
    config = {"rows": len(texts), "first": answers[0], **{name: str(value) for name, value in changes.items()}}
    print(json.dumps({"seconds": seconds, "work": len(texts), "config": config}))


if __name__ == "__main__":
    main()
