"""Tokenizers that are wrong in one way each, and the checks that have to find it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import attrs
import numpy as np
import numpy.typing as npt

from lmkit.interfaces import Encoding, Tokenizer, Vocabulary, Wrapped
from lmkit.testing import ByteTokenizer


class BatchesDiffer(ByteTokenizer):
    """Its fast path strips texts."""

    def encode_batch(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        return super().encode_batch([text.strip() for text in texts])


class SavesAnew(ByteTokenizer):
    """Something of the moment is written."""

    moment = itertools.count()

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "info.txt").write_text(str(next(self.moment)))


class LoadsLess(ByteTokenizer):
    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(attrs.evolve(super().load(folder).config, roles=("pad", "mask")))


class OutOfNothing(ByteTokenizer):
    @classmethod
    def load(cls, folder: Path) -> Self:
        return super().load(folder) if (folder / "roles.json").exists() else cls(cls.Config())


class TrainsAnew(ByteTokenizer):
    """No two are the same."""

    moment = itertools.count()

    @classmethod
    def train(cls, config: Any, texts: Iterable[str]) -> Self:
        last = config.roles[1 + next(cls.moment) % 2 :] if config.roles[-1] == "eos" else config.roles
        return cls(attrs.evolve(config, roles=("pad", *(role for role in last if role != "pad"))))


class OffsetsInBytes(ByteTokenizer):
    def encode(self, text: str) -> Encoding:
        encoding = super().encode(text)
        places = np.cumsum([0, *(len(character.encode()) for character in text)])
        return attrs.evolve(encoding, offsets=places[encoding.offsets])


class WrapsAtOnce(ByteTokenizer):
    """encode already adds a special token."""

    def encode(self, text: str) -> Encoding:
        encoding = super().encode(text)
        ids = np.append(encoding.ids, self.vocabulary.special["sep"])
        return Encoding(ids=ids, offsets=np.append(encoding.offsets, [[len(text)] * 2], axis=0))


class DecodesSpecials(ByteTokenizer):
    def decode(self, ids: Sequence[int] | npt.NDArray[Any]) -> str:
        named = {number: f"[{role.upper()}]" for role, number in self.vocabulary.special.items()}
        return "".join(named.get(int(i), "") for i in ids) + super().decode(ids)


class DecodesCapitals(ByteTokenizer):
    def decode(self, ids: Sequence[int] | npt.NDArray[Any]) -> str:
        return super().decode(ids).upper()


class DecodesMore(ByteTokenizer):
    """A space more each time, where there was none at the end."""

    def decode(self, ids: Sequence[int] | npt.NDArray[Any]) -> str:
        text = super().decode(ids)
        return f"{text} " if text.isspace() else text


class WrapMiscounts(ByteTokenizer):
    def wrap(self, first: npt.NDArray[Any], second: npt.NDArray[Any] | None = None) -> Wrapped:
        return attrs.evolve(super().wrap(first, second), first=0)


class NoSegments(ByteTokenizer):
    def wrap(self, first: npt.NDArray[Any], second: npt.NDArray[Any] | None = None) -> Wrapped:
        wrapped = super().wrap(first, second)
        return attrs.evolve(wrapped, segments=0 * wrapped.segments)


class SmallVocabulary(ByteTokenizer):
    """Its size was taken before the special tokens were added."""

    @cached_property
    def vocabulary(self) -> Vocabulary:
        whole = ByteTokenizer(self.config).vocabulary
        return Vocabulary(size=200, special=whole.special, word_starts=whole.word_starts[:200])


class NoPad(ByteTokenizer):
    @cached_property
    def vocabulary(self) -> Vocabulary:
        whole = ByteTokenizer(self.config).vocabulary
        return attrs.evolve(whole, special={role: n for role, n in whole.special.items() if role != "pad"})


class PadIsMask(ByteTokenizer):
    @cached_property
    def vocabulary(self) -> Vocabulary:
        whole = ByteTokenizer(self.config).vocabulary
        return attrs.evolve(whole, special={**whole.special, "pad": whole.special["mask"]})


class NoWordStarts(ByteTokenizer):
    @cached_property
    def vocabulary(self) -> Vocabulary:
        whole = ByteTokenizer(self.config).vocabulary
        return attrs.evolve(whole, word_starts=np.arange(whole.size) < len(whole.special))


class CrashesOnSurrogates(ByteTokenizer):
    def encode(self, text: str) -> Encoding:
        text.encode()
        return super().encode(text)


@attrs.frozen
class BareConfig:
    roles: tuple[str, ...] = ByteTokenizer.Config().roles


class WithBareConfig(ByteTokenizer):
    Config: ClassVar[type[Any]] = BareConfig


WRONG: dict[type[Tokenizer], set[str]] = {
    BatchesDiffer: {"batches_encode_alike"},
    SavesAnew: {"saving_repeats", "training_repeats"},
    LoadsLess: {"saving_repeats"},
    OutOfNothing: {"an_empty_folder_is_told"},
    TrainsAnew: {"training_repeats"},
    OffsetsInBytes: {"offsets_point_into_the_text"},
    WrapsAtOnce: {"ids_are_in_range"},
    DecodesSpecials: {"decoding_settles"},
    DecodesCapitals: {"plain_text_comes_back"},
    DecodesMore: {"decoding_settles"},
    WrapMiscounts: {"wrap_says_where_texts_are"},
    NoSegments: {"wrap_says_where_texts_are"},
    SmallVocabulary: {"ids_are_in_range"},
    NoPad: {"special_tokens_have_roles"},
    PadIsMask: {"special_tokens_have_roles"},
    NoWordStarts: {"word_starts_fit"},
    CrashesOnSurrogates: {"half_a_surrogate_is_told"},
    WithBareConfig: {"config_is_closed"},
}
"""Wrong tokenizer -> the checks that it fails: these, and no other."""
