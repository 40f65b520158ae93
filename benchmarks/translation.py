"""English to French on two cores: a T5 that denoised spans first against one that begins as it was drawn.

    python -m benchmarks.translation FOLDER --splits SPLITS [--minutes 20] [--pretrain-minutes 10]

`FOLDER` gets the runs; those that are there are used.  `SPLITS` is what `python -m benchmarks.finetuning.splits` made.
Prints BLEU and chrF of the test set, each with its interval, and ten translations as they came.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import lmkit
from benchmarks.finetuning.splits import load
from lmkit.cli.memory import keep_freed_memory

EXAMPLE = Path(__file__).parents[1] / "examples" / "translation"
NAME = "translation_tatoeba"
SHOWN = 10


def pretrained(folder: Path, splits: Path, minutes: float, *, learned: bool) -> lmkit.Run:
    """The T5 that both start from; where not `learned`, its one step changes nothing."""
    place = folder / ("denoised" if learned else "drawn")
    if place.exists():
        return lmkit.load(place)
    text = folder / "sentences.txt"
    rows = load(splits, NAME, "train")
    sentences = itertools.chain.from_iterable((row["source"], row["target"]) for row in rows)
    text.write_text("\n".join(dict.fromkeys(sentences)) + "\n", encoding="utf-8")
    changes = [f'data.train=["{text.absolute()}"]', f"train.minutes={minutes}"]
    if not learned:
        changes[1:] = ["train.steps=1", "train.learning_rate=0", "train.matrix_learning_rate=0"]
    return lmkit.pretrain(EXAMPLE / "pretrain.toml", run=place, overrides=changes, quiet=True)


def translator(folder: Path, splits: Path, start: lmkit.Run, minutes: float) -> lmkit.Run:
    """A run that translates, learned from `start`."""
    place = folder / f"{start.folder.name}-translates"
    if place.exists():
        return lmkit.load(place)
    files = {name: (splits / NAME / f"{name}.jsonl").absolute() for name in ("train", "validation")}
    changes = [f'data.{name}=["{file}"]' for name, file in files.items()] + [f"train.minutes={minutes}"]
    return lmkit.finetune(start, EXAMPLE / "run.toml", run=place, overrides=changes, quiet=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--pretrain-minutes", type=float, default=10.0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()  # as the command does
    found: dict[str, dict[str, Any]] = {}
    shown: dict[str, list[str]] = {}
    test = load(options.splits, NAME, "test")
    for name, learned in (("span denoising first", True), ("from scratch", False)):
        start = pretrained(options.folder, options.splits, options.pretrain_minutes, learned=learned)
        run = translator(options.folder, options.splits, start, options.minutes)
        found[name] = lmkit.evaluate(run, rows=options.splits / NAME / "test.jsonl", bleu=True)["rows"]
        shown[name] = [answer["translation"] for answer in run.predict(test[:SHOWN])]
    print("| | BLEU | chrF |\n|---|---|---|")
    for name, scores in found.items():
        both = [(scores[metric], *scores["intervals"][metric]) for metric in ("bleu", "chrf")]
        cells = [f"{value:.1f} [{low:.1f}, {high:.1f}]" for value, low, high in both]
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"\n| English | French | {' | '.join(shown)} |\n|---|---|{'---|' * len(shown)}")
    for number, row in enumerate(test[:SHOWN]):
        made = " | ".join(answers[number] for answers in shown.values())
        print(f"| {row['source']} | {row['target']} | {made} |")


if __name__ == "__main__":
    main()
