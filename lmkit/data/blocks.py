"""Blocks: documents cut into pieces, and pieces packed into blocks of a fixed number of tokens.

    documents --cut--> pieces of at most block_tokens - overhead --best fit, 65,536 pieces at a time--> blocks

Every token lies in exactly one block, so the same blocks serve training and bits per byte.  The index is a pure
function of the store, block_tokens and overhead, lies beside the store, and takes some 16 bytes a piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import numpy.typing as npt

from lmkit.data.folder import MANIFEST, Entry, make_once, mapped, read_manifest, remedy, sha256, verify
from lmkit.data.packing import best_fit_decreasing
from lmkit.data.store import Store
from lmkit.errors import FitError, IntegrityError

if TYPE_CHECKING:
    from lmkit.interfaces.tokenizer import Tokenizer

BLOCKS_VERSION = 2
"""Raised when the same store would give other blocks."""

_WINDOW = 1 << 16  # pieces that are packed together


@attrs.frozen(kw_only=True)
class _Manifest:
    """What an index of blocks says of itself."""

    version: int
    blocks: int
    pieces: int
    tokens: int
    files: Mapping[str, Entry]

    def sizes(self) -> dict[str, int]:
        """Bytes that its files have."""
        return {"starts.bin": 8 * self.pieces, "lengths.bin": 4 * self.pieces, "borders.bin": 8 * (self.blocks + 1)}


def surroundings(tokenizer: Tokenizer) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The special tokens that `tokenizer` puts before and behind one text."""
    wrapped = tokenizer.wrap(np.array([], np.int64))
    return wrapped.ids[: wrapped.first], wrapped.ids[wrapped.first :]


class Blocks:
    """Blocks of at most `block_tokens` tokens from a store, each made of whole pieces.

    `prefix` and `suffix` are put around every piece.  Raises FitError where they leave no room for text, IntegrityError
    for an index that has changed on the disk.
    """

    def __init__(
        self,
        store: Store,
        block_tokens: int,
        prefix: npt.NDArray[np.int64] | tuple[int, ...] = (),
        suffix: npt.NDArray[np.int64] | tuple[int, ...] = (),
    ) -> None:
        self.store = store
        self.block_tokens = block_tokens
        self._prefix, self._suffix = np.array(prefix, np.int64), np.array(suffix, np.int64)
        overhead = len(self._prefix) + len(self._suffix)
        if block_tokens <= overhead:
            raise FitError(f"block_tokens {block_tokens} leaves no room for text beside {overhead} special tokens")
        folder = store.folder / f"blocks-{BLOCKS_VERSION}-{block_tokens}-{overhead}"
        make_once(folder, partial(_write, store, block_tokens, overhead))
        manifest = read_manifest(folder, _Manifest, version=BLOCKS_VERSION)
        if {name: entry.size for name, entry in manifest.files.items()} != manifest.sizes() or manifest.blocks < 1:
            raise IntegrityError(f"{folder / MANIFEST}: what it says does not agree with itself. {remedy(folder)}")
        verify(folder, manifest.files)
        self._starts = mapped(folder / "starts.bin", "<i8")
        self._lengths = mapped(folder / "lengths.bin", "<i4")
        self._borders = mapped(folder / "borders.bin", "<i8")
        self.tokens: int = manifest.tokens
        """Of all blocks, without filler, with what is put around pieces."""

    def __len__(self) -> int:
        return len(self._borders) - 1

    @property
    def filler(self) -> float:
        """Share of the blocks that is left empty."""
        return 1 - self.tokens / (len(self) * self.block_tokens)

    def block(self, index: int) -> tuple[npt.NDArray[np.int64], tuple[int, ...]]:
        """Token ids of block `index`, [n] for n up to block_tokens, and the lengths of the sequences inside."""
        parts = []
        lengths = []
        for piece in range(self._borders[index], self._borders[index + 1]):
            start, length = int(self._starts[piece]), int(self._lengths[piece])
            parts += [self._prefix, self.store.tokens[start : start + length], self._suffix]
            lengths.append(length + len(self._prefix) + len(self._suffix))
        return np.concatenate(parts, dtype=np.int64), tuple(lengths)


def _write(store: Store, block_tokens: int, overhead: int, folder: Path) -> dict[str, Any]:
    pieces = tokens = blocks = 0
    with (
        (folder / "starts.bin").open("wb") as starts_file,
        (folder / "lengths.bin").open("wb") as lengths_file,
        (folder / "borders.bin").open("wb") as borders_file,
    ):
        borders_file.write(np.zeros(1, "<i8").tobytes())
        for starts, lengths in _windows(store.borders, block_tokens - overhead):
            block_of = best_fit_decreasing(lengths + overhead, block_tokens)
            by_block = np.argsort(block_of, kind="stable")
            borders = pieces + np.cumsum(np.bincount(block_of))
            starts_file.write(starts[by_block].astype("<i8").tobytes())
            lengths_file.write(lengths[by_block].astype("<i4").tobytes())
            borders_file.write(borders.astype("<i8").tobytes())
            pieces += len(starts)
            blocks += len(borders)
            tokens += int(lengths.sum()) + overhead * len(lengths)
    return {
        "version": BLOCKS_VERSION,
        "blocks": blocks,
        "pieces": pieces,
        "tokens": tokens,
        "files": {
            path.name: {"size": path.stat().st_size, "sha256": sha256(path)} for path in sorted(folder.iterdir())
        },
    }


def _windows(
    borders: npt.NDArray[np.int64], longest: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Starts and lengths of pieces, a window at a time; a window spans at most 65,536 documents."""
    for low in range(0, len(borders) - 1, _WINDOW):
        chunk = np.array(borders[low : low + _WINDOW + 1])
        tokens = np.diff(chunk)
        upto = np.cumsum(-(-tokens // longest))  # pieces up to the end of each document
        total = int(upto[-1])
        for first in range(0, total, _WINDOW):
            number = np.arange(first, min(first + _WINDOW, total))
            document = np.searchsorted(upto, number, side="right")
            pieces_before = number - (upto[document] - -(-tokens[document] // longest))  # in the same document
            within = pieces_before * longest
            yield chunk[document] + within, np.minimum(longest, tokens[document] - within)
