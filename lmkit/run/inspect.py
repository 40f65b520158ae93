"""inspect: what a model will really see of its data: batches as text, and what is odd in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from lmkit.batch import Batch, Packed
from lmkit.config import read
from lmkit.data.store import Store
from lmkit.engine.feed import Source
from lmkit.errors import ConfigError
from lmkit.interfaces import Objective, Tokenizer
from lmkit.recipe import read_finetuning, read_pretraining
from lmkit.report.notebook import Shown, table, tokens
from lmkit.run.finetune import trainee_of as finetuning_trainee
from lmkit.run.load import load
from lmkit.run.near import near_duplicates, require_datasketch
from lmkit.run.pretrain import check_fit
from lmkit.run.pretrain import trainee_of as pretraining_trainee
from lmkit.run.texts import texts_of
from lmkit.run.training import Trainee

SHOWN = 3
"""Examples that are shown as text."""
_COUNTED = 512
"""Examples that rates are counted over."""
_QUANTILES = {"shortest": 0.0, "median": 0.5, "nine of ten": 0.9, "longest": 1.0}


@attrs.frozen
class Piece:
    """A token as the model sees it, or a run of filler."""

    text: str
    kind: str
    """ "text", "special", "scored" (predicted there), "filler" or "border" (where a sequence ends)."""
    wanted: str = ""
    """What is to be predicted there, where that is a token."""
    apart: bool = False
    """Whether a space stands before it."""


def inspect_data(
    recipe: Path | str,
    *,
    start: Path | str | None = None,
    examples: int = SHOWN,
    near: bool = False,
    overrides: Sequence[str] = (),
    local_files: Sequence[Path | str] = (),
) -> Shown:
    """Batches of a run.toml, or of a task's file that begins with the run `start`, as text; and their statistics.

    `near`: count the documents that are almost the same too, which takes the library datasketch.
    Raises ConfigError for a task's file without `start`, and what pretrain and finetune raise.
    """
    path = Path(recipe)
    if near:
        require_datasketch()
    if "task" in read(path):
        if near:
            raise ConfigError("--near", ["is for text to pre-train on: rows are compared whole"])
        if start is None:
            raise ConfigError(str(path), ["is a task's file: --from DIR names the run that it will fine-tune"])
        tuning = read_finetuning(path, overrides=overrides, local_files=local_files)
        trainee = finetuning_trainee(tuning, load(start, local_files=local_files))
        return shown({**_of_examples(trainee, examples), **_of_rows(trainee)})
    reading = read_pretraining(path, overrides=overrides, local_files=local_files)
    check_fit(reading)
    trainee = pretraining_trainee(reading, None if start is None else load(start, local_files=local_files))
    tokenizer = trainee.parts.tokenizer
    texts = texts_of(reading.data, tokenizer, block_tokens=reading.train.block_tokens, seed=reading.seed)
    train, validation = texts.stores.train, texts.stores.validation
    almost = near_duplicates(train, validation) if near else {}
    return shown({**_of_examples(trainee, examples), **_of_stores(train, validation), **almost})


def shown(found: Mapping[str, Any]) -> Shown:
    """The same, with a form for notebooks: the batches in colours, then the counts."""
    rows = [
        [(" " * p.apart + p.text, p.kind, p.wanted) for p in row]
        for example in found["examples"]
        for row in example["rows"]
    ]
    counts = [(name, value) for name, value in found.items() if name != "examples"]
    return Shown(found, tokens(rows) + table((), counts))


def pieces(batch: Batch, tokenizer: Tokenizer) -> Iterator[list[Piece]]:
    """Each row of a batch, and behind it each row that is read across, piece by piece."""
    for inputs, wanted in ((batch.inputs, dict(batch.asked())), (batch.inputs.context, {})):
        if inputs is not None:
            yield from _rows(inputs, wanted, tokenizer)


def _rows(inputs: Packed, wanted: Mapping[int, int], tokenizer: Tokenizer) -> Iterator[list[Piece]]:
    names = {number: role.upper() for role, number in tokenizer.vocabulary.special.items()}
    real = np.zeros(inputs.tokens.numel(), bool)
    for first, last in zip(inputs.first.tolist(), inputs.last.tolist(), strict=True):
        real[first : last + 1] = True
    ends = set(inputs.last.tolist())
    begins = tokenizer.vocabulary.word_starts

    def word(token: int) -> str:
        return f"[{names[token]}]" if token in names else tokenizer.decode([token])

    for row in range(inputs.rows):
        line: list[Piece] = []
        filler = 0
        for place in range(row * inputs.row_tokens, (row + 1) * inputs.row_tokens):
            token = int(inputs.tokens[place])
            if not real[place]:
                filler += 1
            elif place in wanted:
                there = word(wanted[place])
                line.append(
                    Piece(word(token), "scored", there, apart=bool(begins[wanted[place]]) and not there[:1].isspace())
                )
            else:
                text = word(token)
                kind = "special" if token in names else "text"
                line.append(Piece(text, kind, apart=bool(begins[token]) and not text[:1].isspace()))
            if place in ends:
                line.append(Piece("", "border"))
        yield [*line, Piece(f"{filler} of filler", "filler")] if filler else line


def _of_examples(trainee: Trainee, count: int) -> dict[str, Any]:
    """The first examples as text, each as a batch of its own; and rates over the first _COUNTED."""
    objective, tokenizer = trainee.model.objective, trainee.parts.tokenizer
    shown = []
    for example in trainee.source.examples(0, min(count, len(trainee.source))):
        batch = objective.collate([example], progress=0.0)
        target = None if example.target is None else str(example.target)[:200]
        shown.append({"rows": list(pieces(batch, tokenizer)), "target": target})
    return {"examples": shown, "rates": _rates(trainee.source, objective, tokenizer)}


def _rates(source: Source, objective: Objective[Any], tokenizer: Tokenizer) -> dict[str, Any]:
    some = source.examples(0, min(_COUNTED, len(source)))
    tokens = np.concatenate([example.tokens for example in some])
    unknown = tokenizer.vocabulary.special.get("unk")
    room = sum(example.capacity or len(example.tokens) for example in some)
    counts = objective.collate(some, progress=0.0).counts
    return {
        "examples looked at": len(some),
        "unknown tokens": 0.0 if unknown is None else float((tokens == unknown).mean()),
        "filler": 1 - len(tokens) / room,
        **{f"predictions of {term} a token": count / len(tokens) for term, count in counts.items()},
    }


def _of_stores(train: Sequence[Store], validation: Mapping[str, Store]) -> dict[str, Any]:
    lengths = np.concatenate([np.diff(store.borders) for store in train])
    known = [digest for store in train for digest in _digests(store)]
    seen = set(known)
    overlap = {name: _among(store, seen) for name, store in validation.items()}
    return {
        "documents": len(lengths),
        "tokens": int(lengths.sum()),
        "bytes a token": sum(store.total_bytes for store in train) / max(1, int(lengths.sum())),
        "tokens of a document": {name: float(np.quantile(lengths, at)) for name, at in _QUANTILES.items()},
        "duplicate documents": len(known) - len(seen),
        "validation documents that are in train too": overlap,
    }


def _digests(store: Store) -> Iterator[bytes]:
    for start, stop in zip(store.borders[:-1].tolist(), store.borders[1:].tolist(), strict=True):
        yield hashlib.blake2b(store.tokens[start:stop].tobytes(), digest_size=16).digest()


def _among(store: Store, seen: set[bytes]) -> str:
    mine = list(_digests(store))
    return f"{sum(digest in seen for digest in mine):,} of {len(mine):,}"


def _of_rows(trainee: Trainee) -> dict[str, Any]:
    train = trainee.source.examples(0, len(trainee.source))
    lengths = np.array([len(example.tokens) for example in train])
    labels: dict[str, int] = {}
    for example in train:
        if isinstance(example.target, (str, int, bool)):
            labels[str(example.target)] = labels.get(str(example.target), 0) + 1
    seen = {example.tokens.tobytes() for example in train}
    overlap = {
        name: f"{sum(e.tokens.tobytes() in seen for e in some):,} of {len(some):,}"
        for name, some in trainee.validation.items()
    }
    return {
        "examples of an epoch": len(train),
        "tokens of an example": {name: float(np.quantile(lengths, at)) for name, at in _QUANTILES.items()},
        "duplicate examples": len(train) - len(seen),
        "validation examples that are in train too": overlap,
        **({"labels": dict(sorted(labels.items(), key=lambda item: -item[1]))} if labels else {}),
    }
