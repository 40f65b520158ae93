"""lmkit's side of a training row: a run.toml of the peer's architecture, `lmkit.pretrain`, and the metrics of the run.

As it comes: all defaults but the shape, AdamW and the peer's masking rate.  Best: compiled, however short the run.
"""

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.shape import BLOCK_TOKENS, CACHE, HEADS, LAYERS, STEP_TOKENS, TRAIN, VOCABULARY, WIDTH, can_compile

COMPONENTS = {"mlm": ("wordpiece", "bert", "rate = 0.15"), "clm": ("bpe", "gpt2", "")}


def recipe(objective: str, *, steps: int, best: bool) -> str:
    """The run.toml of `objective`, "mlm" or "clm"."""
    tokenizer, encoder, fields = COMPONENTS[objective]
    return f"""
seed = 1
[tokenizer]
use = "{tokenizer}"
vocab_size = {VOCABULARY}
[data]
train = ["{TRAIN}/**/*.md"]
[encoder]
use = "{encoder}"
layers = {LAYERS}
width = {WIDTH}
heads = {HEADS}
[objective]
use = "{objective}"
{fields}
[train]
steps = {steps}
block_tokens = {BLOCK_TOKENS}
batch_tokens = {STEP_TOKENS}
optimizer = "adamw"
learning_rate = 0.001
compile = "{"on" if best and can_compile() else "auto"}"
evaluate_every_steps = 0
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("objective", choices=sorted(COMPONENTS))
    parser.add_argument("--best", action="store_true")
    parser.add_argument("--steps", type=int, default=30, help="measured steps")
    parser.add_argument("--warmup-steps", type=int, default=10, help="steps before those, thrown away")
    options = parser.parse_args()

    import lmkit

    text = recipe(options.objective, steps=options.warmup_steps + options.steps, best=options.best)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        recipe_file = Path(folder, "run.toml")
        recipe_file.write_text(text, encoding="utf-8")
        run = Path(folder, "run")
        lmkit.pretrain(recipe_file, run=run)
        events = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    tokens = [after["tokens"] - before["tokens"] for before, after in zip([{"tokens": 0}, *steps], steps, strict=False)]
    measured = list(zip(steps, tokens, strict=True))[options.warmup_steps :]
    started = [event for event in events if event["event"] == "started"]
    result = {
        "seconds": [count / step["tokens_per_second"] for step, count in measured],
        "step_tokens": sum(count for _, count in measured) / len(measured),
        "loss": sum(step["loss"] for step in steps) / len(steps),
        "model_flops_utilization": steps[-1]["model_flops_utilization"],
        "config": {"run.toml": text, "started": started},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
