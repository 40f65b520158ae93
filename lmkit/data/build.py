"""Build: pieces of documents -> tokens on disk, at one pass and in memory that does not grow with the corpus.

Pieces go to the tokenizer's fast path about 1 MB at a time: enough to keep its threads busy, for some 100 MB of memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lmkit.data.corpus import Piece
from lmkit.data.folder import make_once
from lmkit.data.store import STORE_VERSION, Store, open_store, store_folder
from lmkit.data.tally import Tally
from lmkit.errors import DataError, FitError

if TYPE_CHECKING:
    from lmkit.interfaces.tokenizer import Tokenizer

_BATCH_CHARACTERS = 1 << 20
_BATCH_TEXTS = 4096


def build_store(pieces: Iterable[Piece], tokenizer: Tokenizer, fingerprint: str, tally: Tally) -> Store:
    """The store of this fingerprint, tokenized from `pieces` unless it is there already.

    Where the vocabulary has "eos" it ends each document.  Raises DataError for a corpus without a token, FitError for
    a tokenizer whose ids leave its vocabulary, IntegrityError for one that is there and has changed, and whatever
    reading `pieces` raises; then nothing is left behind.
    """
    made = make_once(store_folder(fingerprint), partial(_write, pieces, tokenizer, fingerprint, tally))
    return open_store(fingerprint, verified=not made)


def _write(
    pieces: Iterable[Piece], tokenizer: Tokenizer, fingerprint: str, tally: Tally, folder: Path
) -> dict[str, Any]:
    size = tokenizer.vocabulary.size
    dtype = np.dtype("<u2" if size <= 1 << 16 else "<u4")
    with (
        (folder / "tokens.bin").open("wb") as tokens,
        (folder / "documents.bin").open("wb") as borders,
        (folder / "bytes.bin").open("wb") as document_bytes,
    ):
        files = {"tokens.bin": _Hashed(tokens), "documents.bin": _Hashed(borders), "bytes.bin": _Hashed(document_bytes)}
        writer = _Writer(tokenizer, dtype, *files.values())
        for batch in _batches(pieces):
            writer.write(batch)
    if not writer.tokens:
        raise no_text(tally)
    return {
        "version": STORE_VERSION,
        "fingerprint": fingerprint,
        "vocabulary_size": size,
        "dtype": dtype.str,
        "documents": writer.documents,
        "tokens": writer.tokens,
        "bytes": writer.bytes,
        "files": {name: {"size": file.size, "sha256": file.hash.hexdigest()} for name, file in files.items()},
        "tally": tally.to_dict(),
    }


def _batches(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    characters = 0
    for piece in pieces:
        batch.append(piece)
        characters += len(piece.text)
        if characters >= _BATCH_CHARACTERS or len(batch) == _BATCH_TEXTS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


class _Hashed:
    """A file that is hashed as it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, array: npt.NDArray[Any]) -> None:
        content = array.tobytes()
        self._file.write(content)
        self.hash.update(content)
        self.size += len(content)


class _Writer:
    """Tokenizes batches of pieces and notes where documents end."""

    def __init__(
        self, tokenizer: Tokenizer, dtype: np.dtype[Any], tokens: _Hashed, borders: _Hashed, document_bytes: _Hashed
    ) -> None:
        self._tokenizer = tokenizer
        self._dtype = dtype
        self._size = tokenizer.vocabulary.size
        eos = tokenizer.vocabulary.special.get("eos")
        self._end = np.array([] if eos is None else [eos], np.int64)
        self._tokens, self._borders, self._document_bytes = tokens, borders, document_bytes
        self._ended_bytes = 0  # bytes of the documents that have ended
        self.documents = self.tokens = self.bytes = 0
        borders.write(np.zeros(1, "<i8"))

    def write(self, pieces: Sequence[Piece]) -> None:
        encoded = self._tokenizer.encode_batch([piece.text for piece in pieces])
        parts = [(n, self._end) if piece.ends_document else (n,) for n, piece in zip(encoded, pieces, strict=True)]
        ids = np.concatenate(list(chain.from_iterable(parts)))
        if len(ids) and not 0 <= ids.min() <= ids.max() < self._size:
            raise FitError(
                f'tokenizer "{self._tokenizer.name}" gives ids from {ids.min()} to {ids.max()}, '
                f"where its vocabulary has {self._size}"
            )
        self._tokens.write(ids.astype(self._dtype))

        sizes = [(sum(map(len, part)), piece.bytes) for part, piece in zip(parts, pieces, strict=True)]
        upto = np.add((self.tokens, self.bytes), np.cumsum(sizes, axis=0))  # [pieces, 2] tokens and bytes up to each
        ended = upto[[piece.ends_document for piece in pieces]]
        self._borders.write(ended[:, 0].astype("<i8"))
        self._document_bytes.write(np.diff(ended[:, 1], prepend=self._ended_bytes).astype("<i8"))
        self.documents += len(ended)
        self.tokens, self.bytes = map(int, upto[-1])
        self._ended_bytes = int(ended[-1, 1]) if len(ended) else self._ended_bytes


def no_text(tally: Tally) -> DataError:
    """What is wrong with a set that has read `tally`, and has no text."""
    return DataError(
        f"no text is left to tokenize, of {tally.files} files. Add some, "
        "or name files for validation in [data] where a share of them holds out all or none"
    )
