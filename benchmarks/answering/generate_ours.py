"""lmkit goes on with prompts, as `lmkit predict` does."""

import argparse
import json
import time

import lmkit
from benchmarks.answering.subjects import prompts, subject
from lmkit.cli.memory import keep_freed_memory
from lmkit.cli.waiting import wait_politely

NEW = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="prompts at once")
    options = parser.parse_args()
    folder = subject("gpt2")
    wait_politely()  # as the command does, and the next
    keep_freed_memory()
    run = lmkit.load(folder)
    texts = prompts(run.tokenizer, options.count)
    list(run.predict(texts, max_new_tokens=8, temperature=0))
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        answers = list(run.predict(texts, max_new_tokens=NEW, temperature=0))
        seconds.append(time.perf_counter() - begun)
    drawn = sum(answer["tokens"] for answer in answers)
    config = {"prompts": len(texts), "drawn": drawn, "first": answers[0]["completion"]}
    print(json.dumps({"seconds": seconds, "work": drawn, "config": config}))


if __name__ == "__main__":
    main()
