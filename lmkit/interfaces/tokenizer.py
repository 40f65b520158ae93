"""Tokenizer: turns text into ids, and back, with offsets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import attrs
import numpy as np
import numpy.typing as npt


@attrs.frozen(eq=False, kw_only=True)
class Vocabulary:
    """What encoders and objectives may know of a tokenizer: they never see the tokenizer itself."""

    size: int
    """Ids run from 0 to size - 1."""
    special: Mapping[str, int]
    """Special ids by role: "pad" always; "unk", "cls", "sep", "mask", "bos", "eos" where the tokenizer has them, and
    "fim_prefix", "fim_suffix", "fim_middle", "mark_0", "mark_1", ... where it was asked for them.
    "eos" ends a document: it is added after a document's last token before the document is cut into blocks."""
    word_starts: npt.NDArray[np.bool_] = attrs.field(repr=False)
    """[size] whether a token begins a word; special tokens do."""

    def words(self, ids: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """[n] number of the word that each of `ids` [n] belongs to, from 0."""
        starts = self.word_starts[ids]
        if len(starts):
            starts[0] = True
        return np.cumsum(starts, dtype=np.int64) - 1

    def special_ids(self) -> npt.NDArray[np.int64]:
        """All special ids, sorted, each once."""
        return np.unique(np.fromiter(self.special.values(), np.int64))


@attrs.frozen(eq=False, kw_only=True)
class Encoding:
    """One text's ids, without special tokens, and where each came from."""

    ids: npt.NDArray[np.int64]
    """[n]"""
    offsets: npt.NDArray[np.int64]
    """[n, 2] start and end of each token in characters of the text."""


@attrs.frozen(eq=False, kw_only=True)
class Wrapped:
    """One or two texts' ids with the special tokens that the tokenizer puts around them."""

    ids: npt.NDArray[np.int64]
    """[n]"""
    segments: npt.NDArray[np.int64]
    """[n] 0 for the first text and what surrounds it, 1 for the second."""
    first: int
    """Where the first text's ids begin."""
    second: int
    """Where the second text's ids begin; n where there is no second."""


class Tokenizer(ABC):
    """Turns text into ids, and back, with offsets."""

    name: ClassVar[str]
    Config: ClassVar[type[Any]]
    """A closed attrs class: what is needed to train one."""
    state_version: ClassVar[int] = 1
    """Raised when the files that `save` writes change their meaning."""
    formerly: ClassVar[tuple[str, ...]] = ()
    """Names that it had before, "distribution:name" where it was another's: what was saved under them is found."""

    @property
    @abstractmethod
    def vocabulary(self) -> Vocabulary:
        """Size, special ids by role, and which tokens begin a word."""

    @classmethod
    @abstractmethod
    def train(cls, config: Any, texts: Iterable[str]) -> Self:
        """A new tokenizer from `config` (a `Config`) and the documents of a corpus, read once."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """The tokenizer that `save` wrote into `folder`; raises CheckpointError where it is not whole."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write it into `folder`, which exists; the same tokenizer writes the same bytes."""

    @abstractmethod
    def encode(self, text: str) -> Encoding:
        """Ids of one text with offsets in characters; special tokens written in the text are recognized."""

    @abstractmethod
    def encode_batch(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        """Ids of many texts, without offsets: the fast path, equal to `encode` of each."""

    @abstractmethod
    def decode(self, ids: Sequence[int] | npt.NDArray[Any]) -> str:
        """The text of `ids`; special tokens are left out."""

    @abstractmethod
    def wrap(self, first: npt.NDArray[Any], second: npt.NDArray[Any] | None = None) -> Wrapped:
        """Put the special tokens around one or two texts' ids: what an encoder reads as one sequence."""
