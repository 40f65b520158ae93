"""The peer: `generate` of transformers with its cache on the same weights, as it comes (fp32) or in bf16."""

import argparse
import json
import os
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import lmkit
from benchmarks.answering.generate_ours import NEW
from benchmarks.answering.subjects import prompts, subject


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="prompts at once")
    parser.add_argument("--best", action="store_true")
    options = parser.parse_args()
    folder = subject("gpt2.hf")
    texts = prompts(lmkit.load(subject("gpt2")).tokenizer, options.count)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    dtype = torch.bfloat16 if options.best else torch.float32
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    read = tokenizer(texts, return_tensors="pt")
    asked = {"do_sample": False, "pad_token_id": 0}
    model.generate(**read, max_new_tokens=8, min_new_tokens=8, **asked)
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        made = model.generate(**read, max_new_tokens=NEW, min_new_tokens=NEW, **asked)
        seconds.append(time.perf_counter() - begun)
    drawn = made[:, read["input_ids"].shape[1] :]
    config = {"prompts": len(texts), "dtype": str(dtype), "first": tokenizer.decode(drawn[0])}
    print(json.dumps({"seconds": seconds, "work": drawn.numel(), "config": config}))


if __name__ == "__main__":
    main()
