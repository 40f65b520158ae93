"""The reference tokenizer: UTF-8 bytes and every special role. Nothing is learned, so its vocabulary is known."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import attrs
import numpy as np
import numpy.typing as npt

from lmkit.errors import DataError, IntegrityError
from lmkit.interfaces import Encoding, Tokenizer, Vocabulary, Wrapped

ROLES = ("pad", "unk", "cls", "sep", "mask", "bos", "eos")


@attrs.frozen(kw_only=True)
class ByteConfig:
    """Which special tokens there are."""

    roles: tuple[str, ...] = ROLES
    """Roles of the special tokens, "pad" among them; each is written as [PAD], [MASK] and so on."""


class ByteTokenizer(Tokenizer):
    """UTF-8 bytes after the special tokens; a space begins a word."""

    name = "reference-bytes"
    Config = ByteConfig

    def __init__(self, config: ByteConfig) -> None:
        self.config = config
        self._special = {f"[{role.upper()}]": number for number, role in enumerate(config.roles)}
        self._splitter = re.compile("(" + "|".join(map(re.escape, self._special)) + ")")

    @cached_property
    def vocabulary(self) -> Vocabulary:
        count = len(self.config.roles)
        word_starts = np.zeros(count + 256, np.bool_)
        word_starts[:count] = word_starts[count + ord(" ")] = word_starts[count + ord("\n")] = True
        special = {role: number for number, role in enumerate(self.config.roles)}
        return Vocabulary(size=count + 256, special=special, word_starts=word_starts)

    @classmethod
    def train(cls, config: ByteConfig, texts: Iterable[str]) -> Self:
        return cls(config)

    @classmethod
    def load(cls, folder: Path) -> Self:
        try:
            return cls(ByteConfig(roles=tuple(json.loads((folder / "roles.json").read_text("utf-8")))))
        except (OSError, ValueError, TypeError) as error:
            raise IntegrityError(f"{folder / 'roles.json'}: {error}") from None

    def save(self, folder: Path) -> None:
        (folder / "roles.json").write_text(json.dumps(self.config.roles), "utf-8")

    def encode(self, text: str) -> Encoding:
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        at = 0
        for piece in self._splitter.split(text):
            if piece in self._special:
                ids.append(self._special[piece])
                offsets.append((at, at + len(piece)))
            else:
                for place, character in enumerate(piece, at):
                    try:
                        units = character.encode()
                    except UnicodeEncodeError:
                        raise DataError(f"character {place} is half of a surrogate pair") from None
                    ids += [len(self._special) + unit for unit in units]
                    offsets += [(place, place + 1)] * len(units)
            at += len(piece)
        return Encoding(ids=np.array(ids, np.int64), offsets=np.array(offsets, np.int64).reshape(-1, 2))

    def encode_batch(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        return [self.encode(text).ids for text in texts]

    def decode(self, ids: Sequence[int] | npt.NDArray[Any]) -> str:
        first = len(self._special)
        return bytes(int(i) - first for i in ids if i >= first).decode(errors="replace")

    def wrap(self, first: npt.NDArray[Any], second: npt.NDArray[Any] | None = None) -> Wrapped:
        before, after = (self._ids(role) for role in ("cls", "sep"))
        ids = np.concatenate([before, first, after]).astype(np.int64)
        if second is None:
            return Wrapped(ids=ids, segments=np.zeros(len(ids), np.int64), first=len(before), second=len(ids))
        both = np.concatenate([ids, second, after]).astype(np.int64)
        segments = (np.arange(len(both)) >= len(ids)).astype(np.int64)
        return Wrapped(ids=both, segments=segments, first=len(before), second=len(ids))

    def _ids(self, role: str) -> list[int]:
        return [self.config.roles.index(role)] if role in self.config.roles else []
