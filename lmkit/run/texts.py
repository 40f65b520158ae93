"""Text for a run: its tokenizer, trained once, and the stream of blocks that it trains and validates on."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from lmkit.batch import Example
from lmkit.cache import cache_folder
from lmkit.data.blocks import Blocks, surroundings
from lmkit.data.files import find
from lmkit.data.folder import make_once
from lmkit.data.prepare import Stores, prepare, training_texts
from lmkit.data.settings import Data
from lmkit.data.store import Store, open_store, store_folder
from lmkit.data.stream import Ordered, Stream
from lmkit.interfaces import Tokenizer
from lmkit.recipe import Chosen, Saved
from lmkit.run.parts import record

TOKENIZER_VERSION = 1
"""Raised when the same text and config would train another tokenizer."""


@attrs.frozen(eq=False, kw_only=True)
class Texts:
    """A run's text, tokenized and cut into blocks."""

    stores: Stores
    stream: Stream
    """Training blocks in their seeded order."""
    validation: Mapping[str, Sequence[Example]]
    filler: float
    """Share of the training blocks that is left empty."""

    def fingerprints(self) -> dict[str, Any]:
        """By what a resume knows that it reads the same text."""
        return {
            "train": [store.fingerprint for store in self.stores.train],
            "validation": {name: store.fingerprint for name, store in self.stores.validation.items()},
        }


def tokenizer_of(chosen: Chosen | Saved, data: Data) -> tuple[Tokenizer, dict[str, Any]]:
    """The tokenizer and its record for a manifest: loaded, or trained on the training text once for all runs."""
    cls: type[Tokenizer] = chosen.component.load()
    if isinstance(chosen, Saved):
        return cls.load(chosen.folder), _loaded_record(chosen, cls)
    files = [file.identity() for source in data.sources for file in find([source.path], data.format)]
    reading = [data.document, data.column, data.bad_input, data.longest_line_mb, data.held_out]
    known = [TOKENIZER_VERSION, record(chosen), files, reading]
    name = hashlib.sha256(json.dumps(known).encode()).hexdigest()
    folder = cache_folder() / "tokenizers" / name

    def write(temporary: Path) -> dict[str, Any]:
        cls.train(chosen.config, training_texts(data)).save(temporary)
        return {"version": TOKENIZER_VERSION, "files": {}}

    make_once(folder, write)
    return cls.load(folder), record(chosen)


def _loaded_record(saved: Saved, cls: type[Tokenizer]) -> dict[str, Any]:
    component = saved.component
    return {
        "kind": "tokenizer",
        "name": component.name,
        "distribution": component.distribution,
        "version": component.version,
        "state_version": cls.state_version,
        "config": {"folder": str(saved.folder)},
    }


def fingerprint_of(tokenizer: Tokenizer) -> str:
    """What a tokenizer is known by: the bytes that it saves."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tokenizer.save(folder)
        digest = hashlib.sha256()
        for path in sorted(folder.iterdir()):
            digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def texts_of(
    data: Data,
    tokenizer: Tokenizer,
    *,
    block_tokens: int,
    seed: int,
    fingerprints: Mapping[str, Any] | None = None,
) -> Texts:
    """The blocks of `data`; text that no earlier run has tokenized with this tokenizer is tokenized now.

    Where the stores that `fingerprints` names are all there, they are taken, and the text is not read at all.
    """
    stores = _opened(data, fingerprints) or prepare(data, tokenizer, fingerprint_of(tokenizer))
    blocks = [blocks_of(store, tokenizer, block_tokens) for store in stores.train]
    room = sum(len(b) for b in blocks) * block_tokens
    return Texts(
        stores=stores,
        stream=Stream(blocks, stores.weights, seed),
        validation={
            name: Ordered(blocks_of(store, tokenizer, block_tokens)) for name, store in stores.validation.items()
        },
        filler=1 - sum(b.tokens for b in blocks) / room,
    )


def _opened(data: Data, fingerprints: Mapping[str, Any] | None) -> Stores | None:
    """The stores of these fingerprints, or None where one is absent: the text may have been moved since."""
    if fingerprints is None:
        return None
    names = [*fingerprints["train"], *fingerprints["validation"].values()]
    sets = {"validation"} if data.held_out else set(data.validation_sets)
    if len(fingerprints["train"]) != len(data.sources) or set(fingerprints["validation"]) != sets:
        return None
    if not all(store_folder(name).is_dir() for name in names):
        return None
    return Stores(
        train=tuple(open_store(name, verified=True) for name in fingerprints["train"]),
        weights=tuple(source.weight for source in data.sources),
        validation={name: open_store(known, verified=True) for name, known in fingerprints["validation"].items()},
    )


def blocks_of(store: Store, tokenizer: Tokenizer, block_tokens: int) -> Blocks:
    """A store's blocks, each piece in them wrapped in the tokenizer's special tokens."""
    return Blocks(store, block_tokens, *surroundings(tokenizer))
