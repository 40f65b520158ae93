"""Tokenizer "transformers": any that AutoTokenizer loads from a folder, or a new one made after its pattern."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Self

import attrs
import numpy as np
import numpy.typing as npt
from attrs import validators
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from lmkit.errors import DataError, FitError, IntegrityError
from lmkit.interfaces import Encoding, Tokenizer, Vocabulary, Wrapped

SIZE = "vocabulary_size.json"
"""The file that says how many rows its model's embedding has, which may be more than there are tokens."""
ROLES = ("pad", "unk", "cls", "sep", "mask", "bos", "eos")
_BATCH = 1000  # texts that a new one is trained on at once
_NO_TEXT = ("\ud800", "\udfff")


@attrs.frozen(kw_only=True)
class AnyTokenizerConfig:
    """A new vocabulary for a tokenizer that is there; to take that one as it is, write folder = "..." instead."""

    like: Path | None = None
    """Folder of a BPE tokenizer of transformers whose way of cutting texts the new one has."""
    vocab_size: int = attrs.field(default=8192, validator=[validators.ge(1), validators.le(1 << 24)])
    """Tokens of the new vocabulary; a small corpus may give fewer."""


@attrs.frozen(eq=False, kw_only=True)
class _Frame:
    """What a tokenizer's template puts around texts."""

    before: npt.NDArray[np.int64]
    between: npt.NDArray[np.int64]
    """Of two texts."""
    after: npt.NDArray[np.int64]
    between_is_second: bool
    """Whether what stands between is of the second text's segment."""
    second: int
    """The segment of the second text, where models are told of segments; some count it to the first."""

    @classmethod
    def of(cls, encoded: Any) -> Self:
        """As `tokenizers` encoded one text, or two."""
        own = [place for place, text in enumerate(encoded.sequence_ids) if text is not None]
        breaks = [place for place in own if place + 1 not in own]  # the last place of a text that is followed by none
        stop = breaks[0] + 1
        resumes = next((place for place in own if place > stop), stop)
        pair = encoded.sequence_ids[own[-1]] == 1
        between = encoded.ids[stop:resumes] if pair else []
        return cls(
            before=np.array(encoded.ids[: own[0]], np.int64),
            between=np.array(between, np.int64),
            after=np.array(encoded.ids[own[-1] + 1 :], np.int64),
            between_is_second=bool(between) and encoded.type_ids[stop] == 1,
            second=encoded.type_ids[own[-1]] if pair else 1,
        )


class AnyTokenizer(Tokenizer):
    """A tokenizer of transformers over a pipeline of the library `tokenizers`, as nearly all of its are."""

    name = "transformers"
    Config = AnyTokenizerConfig

    def __init__(self, theirs: PreTrainedTokenizerFast, *, size: int | None = None) -> None:
        """Raises FitError for one without a pipeline, or without any special token that could be a filler."""
        if not getattr(theirs, "is_fast", False):
            raise FitError(f"{type(theirs).__name__} has no tokenizer.json: its offsets in a text are not known")
        self._theirs = theirs
        self._size = max(size or 0, len(theirs))
        self._pipeline = theirs.backend_tokenizer
        self._pipeline.no_padding()
        self._pipeline.no_truncation()

    @classmethod
    def train(cls, config: AnyTokenizerConfig, texts: Iterable[str]) -> Self:
        """Raises FitError for a model whose trainer gives another vocabulary each time."""
        if config.like is None:
            raise FitError('tokenizer "transformers" needs like = "a folder", for a new vocabulary, or folder = "..."')
        pattern = read_tokenizer(config.like)
        if (kind := type(pattern.backend_tokenizer.model).__name__) != "BPE":
            raise FitError(f"{config.like}: the library's trainer of {kind} does not repeat itself: like needs a BPE")

        def batches() -> Iterator[list[str]]:
            rest = iter(texts)
            while batch := list(islice(rest, _BATCH)):
                yield batch

        return cls(pattern.train_new_from_iterator(batches(), config.vocab_size, show_progress=False))

    @classmethod
    def load(cls, folder: Path) -> Self:
        size = None
        if (folder / SIZE).exists():
            try:
                size = int(json.loads((folder / SIZE).read_text(encoding="utf-8"))["size"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise IntegrityError(f"{folder / SIZE}: cannot be read: {error}") from error
        return cls(read_tokenizer(folder), size=size)

    def save(self, folder: Path) -> None:
        self._theirs.save_pretrained(folder)
        (folder / SIZE).write_text(json.dumps({"size": self._size}) + "\n", encoding="utf-8")

    @cached_property
    def vocabulary(self) -> Vocabulary:
        named = {role: getattr(self._theirs, f"{role}_token_id", None) for role in ROLES}
        special = {role: int(number) for role, number in named.items() if number is not None}
        special.setdefault("pad", special.get("eos", special.get("unk", 0)))
        starts = np.ones(self._size, np.bool_)
        tokens = self._pipeline.get_vocab(with_added_tokens=True)
        mark = next((mark for mark in ("Ġ", "▁") if any(token.startswith(mark) for token in tokens)), None)
        for token, number in tokens.items():
            starts[number] = token.startswith(mark) if mark else not token.startswith("##")
        starts[list(special.values())] = True
        starts.flags.writeable = False
        return Vocabulary(size=self._size, special=special, word_starts=starts)

    def encode(self, text: str) -> Encoding:
        try:
            encoded = self._pipeline.encode(text, add_special_tokens=False)
        except (TypeError, UnicodeError):
            raise _not_text(text) from None
        offsets = np.array(encoded.offsets, np.int64).reshape(-1, 2)
        return Encoding(ids=np.array(encoded.ids, np.int64), offsets=offsets)

    def encode_batch(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        try:
            batch = self._pipeline.encode_batch_fast(list(texts), add_special_tokens=False)
        except (TypeError, UnicodeError):
            raise _not_text(next(t for t in texts if any(_NO_TEXT[0] <= c <= _NO_TEXT[1] for c in t))) from None
        return [np.array(encoded.ids, np.int64) for encoded in batch]

    def decode(self, ids: Sequence[int] | npt.NDArray[Any]) -> str:
        known = [number for number in np.asarray(ids, np.int64).tolist() if number < len(self._theirs)]
        text: str = self._pipeline.decode(known, skip_special_tokens=True)
        return text

    def wrap(self, first: npt.NDArray[Any], second: npt.NDArray[Any] | None = None) -> Wrapped:
        frame = self._single if second is None else self._pair
        texts = [first] if second is None else [first, frame.between, second]
        ids = np.concatenate([frame.before, *texts, frame.after]).astype(np.int64)
        start = len(ids) if second is None else len(frame.before) + len(first) + len(frame.between)
        begins = start - len(frame.between) if frame.between_is_second else start
        told_apart = frame.second if "token_type_ids" in self._theirs.model_input_names else 1
        segments = (np.arange(len(ids)) >= begins).astype(np.int64) * told_apart
        return Wrapped(ids=ids, segments=segments, first=len(frame.before), second=start)

    @cached_property
    def _single(self) -> _Frame:
        return _Frame.of(self._pipeline.encode("a", add_special_tokens=True))

    @cached_property
    def _pair(self) -> _Frame:
        return _Frame.of(self._pipeline.encode("a", "b", add_special_tokens=True))


def read_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    if not (folder / "tokenizer.json").is_file():
        raise IntegrityError(f"{folder}: no tokenizer.json: expected a folder with a tokenizer of transformers")
    try:
        theirs = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        numbers = theirs.backend_tokenizer.get_vocab(with_added_tokens=True).values()
        if len(set(numbers)) < len(numbers):
            raise ValueError("several of its tokens have one id")
        theirs.backend_tokenizer.encode("Robin Hood, 1883", "é 你")  # a vocabulary that lacks its tokens says so here
    except Exception as error:  # transformers and tokenizers raise nothing more exact
        raise IntegrityError(f"{folder}: not a tokenizer: {told(error)}") from error
    made: PreTrainedTokenizerFast = theirs
    return made


def told(error: Exception) -> str:
    """What an error of transformers says, in one line of bounded length."""
    return " ".join(str(error).split())[:300]


def _not_text(text: str) -> DataError:
    place = next((i for i, c in enumerate(text) if _NO_TEXT[0] <= c <= _NO_TEXT[1]), 0)
    return DataError(
        f"character {place} is half of a surrogate pair and no character by itself, in "
        f"{text[max(0, place - 20) : place + 20]!r}; repair the text or leave it out"
    )
