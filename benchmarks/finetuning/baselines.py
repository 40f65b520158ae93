"""Classical baselines of the labelled sets: what a model that was never pre-trained on anything gets in seconds.

    python -m benchmarks.finetuning.baselines SPLITS

TF-IDF with logistic regression, each word's most frequent tag, the words that stand beside the question's, an n-gram
model of words; what there is to choose is chosen on the validation rows.  The metrics are those of lmkit's own tasks.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.finetuning import overlap
from benchmarks.finetuning.splits import load
from benchmarks.finetuning.workloads import WORKLOADS, task_of
from lmkit.run.scores import scored

Row = dict[str, Any]
_WORD = re.compile(r"\w+|[^\w\s]")
_DISCOUNT = 0.75


def classes(splits: Path, name: str) -> list[Any]:
    """TF-IDF with logistic regression, of words and pairs of words; validation says whether with parts of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    train, validation, test = (load(splits, name, split) for split in ("train", "validation", "test"))

    def texts(rows: Iterable[Row]) -> list[str]:
        return [row["text"] for row in rows]

    def labels(rows: Iterable[Row]) -> list[str]:
        return [row["label"] for row in rows]

    best: tuple[float, Any] = (0.0, None)
    for with_parts, c in itertools.product((False, True), (1.0, 3.0, 10.0, 30.0)):
        features = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)]
        if with_parts:
            features.append(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2))
        model = make_pipeline(make_union(*features), LogisticRegression(C=c, max_iter=2000))
        model.fit(texts(train), labels(train))
        accuracy = model.score(texts(validation), labels(validation))
        if accuracy > best[0]:
            best = accuracy, model
    return [{"label": label} for label in best[1].predict(texts(test))]


def tags(splits: Path, name: str) -> list[Any]:
    """Each word has the tag that it most often had; a new word is O."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in load(splits, name, "train"):
        for word, tag in zip(row["tokens"], row["tags"], strict=True):
            counts[word][tag] += 1
    most = {word: some.most_common(1)[0][0] for word, some in counts.items()}
    return [{"tags": [most.get(word, "O") for word in row["tokens"]]} for row in load(splits, name, "test")]


def beside(splits: Path, name: str) -> list[Any]:
    """Answers by word overlap, with the weights that are best on the validation rows."""

    def score(rows: Sequence[Row], answers: Sequence[Row]) -> float:
        return scored(task_of(name), rows, answers, intervals=False).metrics()["f1"]

    train, validation, test = (load(splits, name, split) for split in ("train", "validation", "test"))
    return overlap.answers(train, validation, test, score)


class Trigrams:
    """An interpolated model of words with absolute discounting (Ney, Essen and Kneser 1994)."""

    def __init__(self, sentences: Iterable[Sequence[str]]) -> None:
        self.counts: list[Counter[tuple[str, ...]]] = [Counter(), Counter(), Counter()]
        for words in sentences:
            padded = ["<s>", "<s>", *words, "</s>"]
            for n in range(3):
                self.counts[n].update(tuple(padded[i - n : i + 1]) for i in range(2, len(padded)))
        self.followed: list[Counter[tuple[str, ...]]] = [Counter(), Counter(), Counter()]
        self.kinds: list[Counter[tuple[str, ...]]] = [Counter(), Counter(), Counter()]
        self.next: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for n in range(3):
            for gram, count in self.counts[n].items():
                self.followed[n][gram[:-1]] += count
                self.kinds[n][gram[:-1]] += 1
        for gram, _ in self.counts[2].most_common():
            self.next[gram[:-1]].append(gram[-1])
        for gram, _ in self.counts[1].most_common():
            self.next[gram[:-1]].append(gram[-1])
        self.next[()] = [gram[0] for gram, _ in self.counts[0].most_common(200)]

    def probability(self, context: Sequence[str], word: str) -> float:
        """Of `word` after the last two of `context`."""
        value = 1 / (len(self.counts[0]) + 1)
        for n in range(3):
            before = tuple(context[len(context) - n :])
            total = self.followed[n][before]
            if total:
                rest = _DISCOUNT * self.kinds[n][before] / total
                value = max(self.counts[n][(*before, word)] - _DISCOUNT, 0) / total + rest * value
        return value

    def score(self, words: Sequence[str]) -> float:
        """Log-probability of a sentence."""
        padded = ["<s>", "<s>", *words, "</s>"]
        return sum(math.log(self.probability(padded[i - 2 : i], padded[i])) for i in range(2, len(padded)))

    def likeliest(self, context: Sequence[str], after: str, count: int) -> list[str]:
        """Words that may stand between `context` and the word `after`."""
        before = tuple(context[-2:])
        candidates = {*self.next[before][:300], *self.next[before[1:]][:300], *self.next[()]} - {"</s>"}

        def worth(word: str) -> float:
            return self.probability(before, word) * self.probability((before[1], word), after)

        return sorted(candidates, key=lambda word: (-worth(word), word))[:count]


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def books(data: Path, files: int | None = None) -> Iterator[list[str]]:
    """Sentences of the training books."""
    for path in sorted((data / "books/train").rglob("*.md"))[:files]:
        for line in path.read_text(encoding="utf-8").partition("-------")[2].split("\n"):
            for sentence in re.split(r"(?<=[.!?])\s+", line):
                if words := _words(sentence):
                    yield words


def endings(splits: Path, name: str, model: Trigrams) -> list[Any]:
    """The ending with which the sentence is likeliest, per word."""
    answers = []
    for row in load(splits, name, "test"):
        worth = [model.score(words) / len(words) for words in (_words(f"{row['prompt']} {e}") for e in row["endings"])]
        best = int(np.argmax(worth))
        answers.append({"choice": best, "ending": row["endings"][best]})
    return answers


def hidden_words(splits: Path, model: Trigrams) -> dict[str, float]:
    """Which word is hidden, from two words before and one behind it."""
    first = named = 0
    rows = load(splits, "word_prediction", "test")
    for row in rows:
        before, after = (_words(part) for part in row["text"].split("[MASK]"))
        found = model.likeliest(["<s>", "<s>", *before], (after or ["</s>"])[0], 5)
        first += found[0] == row["answer"].lower()
        named += row["answer"].lower() in found
    return {"accuracy": first / len(rows), "accuracy_at_5": named / len(rows)}


def pairs(data: Path, model: Trigrams) -> dict[str, float]:
    """BLiMP: how often the good sentence is the likelier; ties count half."""
    found = {}
    for path in sorted((data / "blimp").glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        gaps = [model.score(_words(r["sentence_good"])) - model.score(_words(r["sentence_bad"])) for r in rows]
        found[path.stem] = float(np.mean([0.5 + 0.5 * np.sign(gap) for gap in gaps]))
    return found | {"mean": float(np.mean(list(found.values())))}


def measured(splits: Path, name: str, made: Callable[[], list[Any]]) -> dict[str, Any]:
    """The deciding metrics of a baseline's answers, each with its interval, and its seconds."""
    begun = time.perf_counter()
    answers = made()
    scores = scored(task_of(name), load(splits, name, "test"), answers)
    metrics, intervals = scores.metrics(), scores.intervals()
    wanted = WORKLOADS[name].metrics
    return {
        "metrics": {metric: metrics[metric] for metric in wanted},
        "intervals": {metric: intervals[metric] for metric in wanted},
        "seconds": time.perf_counter() - begun,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("splits", type=Path)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    splits, data = options.splits, Path(os.environ.get("LMKIT_DATA", "../shared/data"))
    made: dict[str, Callable[[], list[Any]]] = {
        **{name: partial(classes, splits, name) for name in ("sentiment_mr", "intent_banking77")},
        **{name: partial(tags, splits, name) for name in ("ner_wnut17", "ner_wikigold")},
        "qa_qamr": partial(beside, splits, "qa_qamr"),
    }
    found: dict[str, Any] = {}
    for name, answers in made.items():
        if not options.only or name in options.only:
            found[name] = measured(splits, name, answers)
            print(json.dumps({name: found[name]}), flush=True)
    if not options.only or "ngrams" in options.only:
        model = Trigrams(books(data))
        for name, some in (("word_prediction", hidden_words(splits, model)), ("blimp", pairs(data, model))):
            print(json.dumps({name: {"metrics": some}}), flush=True)
        codah = measured(splits, "completion_codah", partial(endings, splits, "completion_codah", model))
        print(json.dumps({"completion_codah": codah}), flush=True)


if __name__ == "__main__":
    main()
