"""Fixed splits of the labelled sets, from a seed, as files that lmkit reads.

    python -m benchmarks.finetuning.splits SPLITS

What their publishers split stays so; the rest is 80/10/10.  All questions on one sentence of QAMR go to one split.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmkit.data.rows import read_rows
from lmkit.data.settings import Data

Row = dict[str, Any]
SEED = 20261125
WORD_ROWS = 2000
TRANSLATIONS = 1000
"""Sources of the validation set, and as many of the test set."""
_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
_QUOTES = {"``": '"', "''": '"'}
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def cut(items: Sequence[Any], shares: Sequence[float], seed: int = SEED) -> list[list[Any]]:
    """`items` shuffled by `seed` and cut into parts of these shares; the last takes the rest."""
    order = np.random.default_rng(seed).permutation(len(items))
    borders = [round(sum(shares[: n + 1]) * len(items)) for n in range(len(shares) - 1)]
    return [[items[i] for i in part] for part in np.split(order, borders)]


def in_three(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """80/10/10."""
    train, validation, test = cut(rows, (0.8, 0.1, 0.1))
    return {"train": train, "validation": validation, "test": test}


def held_out(train: Sequence[Row], test: Sequence[Row]) -> dict[str, list[Row]]:
    """A published test set, and a tenth of the published training set to validate on."""
    kept, validation = cut(train, (0.9, 0.1))
    return {"train": kept, "validation": validation, "test": list(test)}


def sentiment_mr(data: Path) -> dict[str, list[Row]]:
    """Film reviews' sentences; as many of each kind in each split."""
    parts: dict[str, list[Row]] = defaultdict(list)
    for label in ("neg", "pos"):
        text = (data / f"sentiment_mr/sentence_polarity/rt-polarity.{label}").read_text(encoding="latin-1")
        rows = [{"text": line.strip(), "label": label} for line in text.split("\n") if line.strip()]
        for name, part in in_three(rows).items():
            parts[name] += part
    return parts


def intent_banking77(data: Path) -> dict[str, list[Row]]:
    """Customers' questions to a bank, in 77 classes."""

    def read(name: str) -> list[Row]:
        with (data / f"intent_banking77/{name}.csv").open(encoding="utf-8", newline="") as file:
            return [{"text": row["text"], "label": row["category"]} for row in csv.DictReader(file)]

    return held_out(read("train"), read("test"))


def _columns(path: Path) -> list[Row]:
    """CoNLL columns; a line of white space ends a sentence, and a document's first line is none."""
    rows, lines = [], [*path.read_text(encoding="utf-8").split("\n"), ""]
    tokens: list[str] = []
    tags: list[str] = []
    for line in lines:
        if line.strip():
            fields = line.split()
            if fields[0] == "-DOCSTART-":
                continue
            tokens.append(fields[0])
            tags.append(fields[-1])
        elif tokens:
            rows.append({"tokens": tokens, "tags": tags})
            tokens, tags = [], []
    return rows


def ner_wnut17(data: Path) -> dict[str, list[Row]]:
    """Names in noisy text; the published development set is the test set, since the test set is not here."""
    train, test = (_columns(data / f"ner_wnut17/{name}.conll") for name in ("wnut17train", "emerging.dev"))
    return held_out(train, test)


def ner_wikigold(data: Path) -> dict[str, list[Row]]:
    """Names in Wikipedia."""
    return in_three(_columns(data / "ner_wikigold/wikigold.conll.txt"))


def qa_qamr(data: Path) -> dict[str, list[Row]]:
    """Questions on one sentence; an answer whose words are apart is the text from its first to its last."""
    sentences = {}
    for line in (data / "qa_qamr/wiki-sentences.tsv").read_text(encoding="utf-8").split("\n"):
        key, _, text = line.partition("\t")
        sentences[key] = [_BRACKETS.get(token, _QUOTES.get(token, token)) for token in text.split(" ")]
    questions: dict[str, list[Row]] = defaultdict(list)
    for line in (data / "qa_qamr/filtered/dev.tsv").read_text(encoding="utf-8").split("\n"):
        if not line:
            continue
        fields = line.split("\t")
        tokens, numbers = sentences[fields[0]], [int(n) for n in fields[6].split()]
        start = len(" ".join(tokens[: min(numbers)])) + (min(numbers) > 0)
        answer = " ".join(tokens[min(numbers) : max(numbers) + 1])
        context = " ".join(tokens)
        assert context[start : start + len(answer)] == answer
        row = {"question": fields[5], "context": context, "answers": [{"text": answer, "answer_start": start}]}
        questions[fields[0]].append(row)
    parts = in_three([{"key": key} for key in questions])
    return {name: [row for part in some for row in questions[part["key"]]] for name, some in parts.items()}


def completion_codah(data: Path) -> dict[str, list[Row]]:
    """Choose the ending; the publishers' first fold."""
    parts = {}
    for ours, theirs in (("train", "train"), ("validation", "dev"), ("test", "test")):
        rows = []
        for line in (data / f"completion_codah/cv_split/fold_0/{theirs}.tsv").read_text(encoding="utf-8").split("\n"):
            if line.strip():
                _, prompt, *endings, label = line.rstrip("\r").split("\t")
                rows.append({"prompt": prompt, "endings": endings, "label": int(label)})
        parts[ours] = rows
    return parts


def word_prediction(data: Path) -> dict[str, list[Row]]:
    """Sentences of the books that no model was trained on, each with one word of letters hidden."""
    sentences = [
        sentence
        for path in sorted((data / "books/validation").rglob("*.md"))
        for paragraph in path.read_text(encoding="utf-8").partition("-------")[2].split("\n")
        for sentence in _SENTENCE.split(paragraph.strip())
        if 8 <= len(sentence.split()) <= 40 and "[" not in sentence
    ]
    rng = np.random.default_rng(SEED)
    rows: list[Row] = []
    for i in rng.permutation(len(sentences)):
        words = sentences[i].split()
        places = [n for n, word in enumerate(words) if word.isascii() and word.isalpha() and n > 0]
        if places:
            place = int(rng.choice(places))
            rows.append({"text": " ".join([*words[:place], "[MASK]", *words[place + 1 :]]), "answer": words[place]})
        if len(rows) == WORD_ROWS:
            break
    return {"test": rows}


def shakespeare(data: Path) -> dict[str, list[Row]]:
    """Speeches, 90/5/5 in their order."""
    speeches = (data / "tinyshakespeare/input.txt").read_text(encoding="utf-8").strip().split("\n\n")
    a, b = round(0.9 * len(speeches)), round(0.95 * len(speeches))
    parts = {"train": speeches[:a], "validation": speeches[a:b], "test": speeches[b:]}
    return {name: [{"text": text} for text in some] for name, some in parts.items()}


def translation_tatoeba(data: Path) -> dict[str, list[Row]]:
    """English sentences and their French ones; all pairs of one source go to one split, where tests take its first."""
    with zipfile.ZipFile(data / "translation_tatoeba/fra-eng.zip") as archive:
        lines = archive.read("fra-eng/fra.txt").decode("utf-8").split("\n")
    targets: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        if line.strip():
            source, target = line.split("\t")[:2]
            targets[source].append(target)
    held, kept = TRANSLATIONS, len(targets) - 2 * TRANSLATIONS
    train, validation, test = cut(list(targets), [n / len(targets) for n in (kept, held, held)])
    parts = {"train": [{"source": s, "target": target} for s in train for target in targets[s]]}
    for name, some in (("validation", validation), ("test", test)):
        parts[name] = [{"source": s, "target": targets[s][0]} for s in some]
    return parts


SETS: dict[str, Callable[[Path], dict[str, list[Row]]]] = {
    made.__name__: made
    for made in (
        *(sentiment_mr, intent_banking77, ner_wnut17, ner_wikigold),
        *(qa_qamr, completion_codah, word_prediction, shakespeare, translation_tatoeba),
    )
}


def write(folder: Path, data: Path, names: Iterable[str] = SETS) -> dict[str, Any]:
    """Write the splits of these sets; returns rows and SHA-256 of each file."""
    manifest: dict[str, Any] = {}
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for split, rows in SETS[name](data).items():
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / name / f"{split}.jsonl").write_text(text, encoding="utf-8", newline="\n")
            digest = hashlib.sha256(text.encode()).hexdigest()
            manifest[f"{name}/{split}.jsonl"] = {"rows": len(rows), "sha256": digest}
    return manifest


def load(folder: Path, name: str, split: str) -> list[Any]:
    """The rows of a split."""
    return list(read_rows([folder / name / f"{split}.jsonl"], Data(train=["-"])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("splits", type=Path)
    options = parser.parse_args()
    manifest = write(options.splits, Path(os.environ.get("LMKIT_DATA", "../shared/data")))
    (options.splits / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    for name, file in manifest.items():
        print(f"{name:40} {file['rows']:>7,} rows  {file['sha256'][:12]}")


if __name__ == "__main__":
    main()
