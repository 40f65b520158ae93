"""Sentences with given words beside others: how many of the words they have, and how well another model reads them.

    python -m benchmarks.vocabulary RUN --judge OTHER [--text FILE ...] [--sets 40] [--words 3] [--each 3] [--seed 1]

The word sets are the rarest words of real sentences, drawn from the text by `--seed`.  RUN makes `--each` sentences a
set; the others are its own samples after the same prompt, those with the missing words put in at random places, and
the real sentences.  OTHER, a run with a head of next tokens, reads all: perplexity a token of its own tokenizer.  It
ought to be another model than RUN, and not to know the text.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from lmkit_vocabulary.rarity import unfamiliar
from lmkit_vocabulary.sentences import sentences
from lmkit_vocabulary.words import Word

from lmkit import Example, Run, load

DATA = Path(os.environ.get("LMKIT_DATA", Path(__file__).parents[1] / "../shared/data"))
SAMPLED = {"temperature": 0.7, "max_new_tokens": 60}


@attrs.frozen
class Asked:
    """Words, and the sentence that they come from."""

    words: tuple[str, ...]
    sentence: str


def word_sets(run: Run, text: str, *, words: int, sets: int, rng: np.random.Generator) -> list[Asked]:
    """`sets` sentences of `text` that have so many rare words, each with its `words` rarest in alphabetical order."""
    found = []
    for sentence in dict.fromkeys(sentences(text)):
        rare = [word.word for word in unfamiliar(run.tokenizer, sentence)[:words]]
        if len(rare) == words and len(sentence) < 200:
            found.append(Asked(tuple(sorted(rare, key=str.casefold)), sentence))
    chosen = rng.choice(len(found), min(sets, len(found)), replace=False)
    return [found[number] for number in chosen]


def constrained(run: Run, asked: Sequence[Asked], each: int) -> list[list[str]]:
    """What the task makes of each set."""
    rows = [{"words": list(one.words)} for one in asked]
    answers = run.predict(rows, task="vocabulary", sentences=each, inflections=False)
    return [[sentence["text"] for sentence in answer["sentences"]] for answer in answers]


def sampled(run: Run, asked: Sequence[Asked], each: int) -> list[list[str]]:
    """First sentences of plain samples after the same prompt."""
    rows = [{"text": f"{', '.join(one.words)}:"} for one in asked for _ in range(each)]
    texts = [answer["completion"].strip() for answer in run.predict(rows, task="completion", **SAMPLED)]
    first = [next(sentences(text), text) for text in texts]
    return [first[start : start + each] for start in range(0, len(first), each)]


def inserted(texts: Sequence[Sequence[str]], asked: Sequence[Asked], rng: np.random.Generator) -> list[list[str]]:
    """Samples with each word that they lack put between two of their words."""
    return [[insert(text, one.words, rng) for text in some] for some, one in zip(texts, asked, strict=True)]


def insert(text: str, words: Sequence[str], rng: np.random.Generator) -> str:
    """`text` with each of `words` that it lacks at a random place, never the last."""
    parts = text.split()
    for word in words:
        if not has(word, text):
            parts.insert(int(rng.integers(max(1, len(parts)))), word)
    return " ".join(parts)


def has(word: str, text: str) -> bool:
    """Whether `text` has `word` as a whole word."""
    return Word(word, (word,)).find(text) is not None


def nats(judge: Run, text: str) -> tuple[float, int]:
    """What `judge` needs for `text`, and for how many tokens."""
    ids = judge.tokenizer.encode(text).ids
    wrapped = judge.tokenizer.wrap(ids)
    tokens = wrapped.ids[: wrapped.first + len(ids)]
    batch = judge.module.objective.collate([Example(tokens=tokens, lengths=(len(tokens),))], progress=None)
    with torch.inference_mode():
        loss = sum(float(value) for value in judge.module(batch).values())
    return loss, sum(batch.counts.values())


def figures(texts: Sequence[Sequence[str]], asked: Sequence[Asked], judge: Run) -> dict[str, float]:
    """Share of words covered, of sentences with all of them, of different sentences, and perplexity."""
    hits = [[has(word, text) for word in one.words] for some, one in zip(texts, asked, strict=True) for text in some]
    flat = [text for some in texts for text in some]
    needed = [nats(judge, text) for text in flat if text]
    return {
        "words_covered": sum(map(sum, hits)) / sum(map(len, hits)),
        "sentences_covered": sum(map(all, hits)) / len(hits),
        "distinct": len(set(flat)) / len(flat),
        "perplexity": math.exp(sum(loss for loss, _ in needed) / sum(count for _, count in needed)),
    }


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """A Markdown table of all ways."""
    lines = ["| sentences | words covered | with all words | distinct | perplexity |", "|---|---|---|---|---|"]
    for way, each in found.items():
        shares = " | ".join(f"{each[name]:.0%}" for name in ("words_covered", "sentences_covered", "distinct"))
        lines.append(f"| {way} | {shares} | {each['perplexity']:,.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--text", type=Path, nargs="+", default=sorted((DATA / "robin_hood").glob("*.md")))
    for name, value in (("sets", 40), ("words", 3), ("each", 3), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    run, judge = load(options.run), load(options.judge)
    rng = np.random.default_rng(options.seed)
    text = "\n\n".join(path.read_text(encoding="utf-8") for path in options.text)
    asked = word_sets(run, text, words=options.words, sets=options.sets, rng=rng)
    begun = time.monotonic()
    made = constrained(run, asked, options.each)
    seconds = (time.monotonic() - begun) / len(asked)
    samples = sampled(run, asked, options.each)
    ways = {
        "with the words asked for": made,
        "sampled": samples,
        "sampled, words put in at random": inserted(samples, asked, rng),
        "real": [[one.sentence] for one in asked],
    }
    found = {way: figures(texts, asked, judge) for way, texts in ways.items()}
    print(table(found))
    settings: dict[str, Any] = {name: getattr(options, name) for name in ("sets", "words", "each", "seed")}
    print(json.dumps({**settings, "seconds_a_set": seconds, "ways": found}))


if __name__ == "__main__":
    main()
