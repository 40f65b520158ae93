"""A real, tiny tokenizer: a byte is a token, [CLS] and [SEP] surround a text, and eos ends a document."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from lmkit.interfaces import Encoding, Tokenizer, Vocabulary, Wrapped

PAD, CLS, SEP, EOS = range(256, 260)


class ByteTokenizer(Tokenizer):
    name: ClassVar[str] = "test-bytes"

    def __init__(self, size: int = 260, *, eos: bool = True) -> None:
        special = {"pad": PAD, "cls": CLS, "sep": SEP, **({"eos": EOS} if eos else {})}
        starts = np.zeros(size, np.bool_)
        starts[[*b" \n", *special.values()]] = True
        self._vocabulary = Vocabulary(size=size, special=special, word_starts=starts)

    @property
    def vocabulary(self) -> Vocabulary:
        return self._vocabulary

    @classmethod
    def train(cls, config: Any, texts: Iterable[str]) -> Self:
        return cls()

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls()

    def save(self, folder: Path) -> None:
        (folder / "bytes").touch()

    def encode(self, text: str) -> Encoding:
        ids = np.frombuffer(text.encode(), np.uint8).astype(np.int64)
        character = np.repeat(np.arange(len(text)), [len(c.encode()) for c in text])
        return Encoding(ids=ids, offsets=np.stack([character, character + 1], axis=1))

    def encode_batch(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        return [np.frombuffer(text.encode(), np.uint8).astype(np.int64) for text in texts]

    def decode(self, ids: Sequence[int] | npt.NDArray[Any]) -> str:
        return bytes(i for i in ids if i < 256).decode(errors="replace")

    def wrap(self, first: npt.NDArray[Any], second: npt.NDArray[Any] | None = None) -> Wrapped:
        ids = np.concatenate([[CLS], first, [SEP], *([second, [SEP]] if second is not None else [])]).astype(np.int64)
        segments = (np.arange(len(ids)) >= len(first) + 2).astype(np.int64)
        return Wrapped(ids=ids, segments=segments, first=1, second=len(first) + 2)
