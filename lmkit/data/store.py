"""Store: documents tokenized once, memory-mapped, shared by all runs that read the same text with the same tokenizer.

    LMKIT_CACHE/stores/<fingerprint>/
        tokens.bin       ids of all documents end to end, 16 bits each where the vocabulary allows, else 32
        documents.bin    [documents + 1] int64 borders of the documents in tokens.bin
        bytes.bin        [documents] int64 bytes of each document's text in UTF-8
        manifest.json    fingerprint, counts, size and sha256 of each file

Finding a store by its fingerprint reads all of the text once (about 1 GB/s); training on a known one reads it once to
compare its hashes, since a token that was changed on the disk trains as well as any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
import numpy.typing as npt

from lmkit.cache import cache_folder
from lmkit.data.folder import MANIFEST, Entry, mapped, read_manifest, remedy, verify
from lmkit.data.settings import Data
from lmkit.data.tally import Tally
from lmkit.errors import IntegrityError

STORE_VERSION = 1
"""Raised when the same text would give other tokens, or the files another meaning."""


@attrs.frozen(kw_only=True)
class _Manifest:
    """What a store says of itself."""

    version: int
    fingerprint: str
    vocabulary_size: int
    dtype: Literal["<u2", "<u4"]
    documents: int
    tokens: int
    bytes: int
    files: Mapping[str, Entry]
    tally: Tally

    def sizes(self) -> dict[str, int]:
        """Bytes that its files have."""
        width = np.dtype(self.dtype).itemsize
        return {
            "tokens.bin": width * self.tokens,
            "documents.bin": 8 * (self.documents + 1),
            "bytes.bin": 8 * self.documents,
        }


@attrs.frozen(eq=False, kw_only=True)
class Store:
    """Documents' tokens on disk; made by `build_store`, found by `open_store`."""

    folder: Path
    fingerprint: str
    documents: int
    vocabulary_size: int
    tokens: npt.NDArray[np.unsignedinteger[Any]] = attrs.field(repr=False)
    """[all tokens] memory-mapped."""
    borders: npt.NDArray[np.int64] = attrs.field(repr=False)
    """[documents + 1] memory-mapped: document i has the tokens from borders[i] to borders[i + 1]."""
    document_bytes: npt.NDArray[np.int64] = attrs.field(repr=False)
    """[documents] memory-mapped: bytes of each document's text in UTF-8."""
    total_bytes: int
    tally: Tally
    """What was read and left out when it was built."""

    @property
    def total_tokens(self) -> int:
        return len(self.tokens)

    def verify(self) -> None:
        """Read every file; raises IntegrityError for one whose hash is not what the manifest says."""
        verify(self.folder, read_manifest(self.folder, _Manifest, version=STORE_VERSION).files)
        if int(self.document_bytes.sum()) != self.total_bytes:
            raise IntegrityError(
                f"{self.folder / MANIFEST}: what it says does not agree with itself. {remedy(self.folder)}"
            )


def fingerprint_of(identities: Sequence[str], settings: Data, tokenizer_fingerprint: str, *, part: str = "all") -> str:
    """What a store is known by: the files' identities, how they are read, the tokenizer, which part, STORE_VERSION."""
    made_of = {
        "version": STORE_VERSION,
        "files": list(identities),
        "settings": [settings.document, settings.column, settings.bad_input, settings.longest_line_mb],
        "tokenizer": tokenizer_fingerprint,
        "part": part,
    }
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()


def store_folder(fingerprint: str) -> Path:
    """Where the store of this fingerprint is, once it is built."""
    return cache_folder() / "stores" / fingerprint


def open_store(fingerprint: str, *, verified: bool = False) -> Store:
    """A store that was built; raises IntegrityError where it is absent or not whole.

    It is judged by its manifest and sizes, and with `verified` by its hashes too, as for training.
    """
    folder = store_folder(fingerprint)
    manifest = read_manifest(folder, _Manifest, version=STORE_VERSION)
    listed = {name: entry.size for name, entry in manifest.files.items()}
    if manifest.fingerprint != fingerprint or listed != manifest.sizes() or not manifest.tokens:
        raise IntegrityError(f"{folder / MANIFEST}: what it says does not agree with itself. {remedy(folder)}")
    store = Store(
        folder=folder,
        fingerprint=fingerprint,
        documents=manifest.documents,
        vocabulary_size=manifest.vocabulary_size,
        tokens=mapped(folder / "tokens.bin", manifest.dtype),
        borders=mapped(folder / "documents.bin", "<i8"),
        document_bytes=mapped(folder / "bytes.bin", "<i8"),
        total_bytes=manifest.bytes,
        tally=manifest.tally,
    )
    if verified:
        store.verify()
    return store
