"""Tokenizers over a pipeline of the Rust library `tokenizers`: all but how the vocabulary is learned.

A saved one is the two files that transformers reads, so `AutoTokenizer` gives the same ids. The price is that roles
have fixed spellings: a class says how its mask token is written, and no file can change that.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self, final

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import AddedToken
from tokenizers.processors import TemplateProcessing

from lmkit.errors import DataError, IntegrityError
from lmkit.interfaces import Encoding, Tokenizer, Vocabulary, Wrapped

PIPELINE = "tokenizer.json"
ROLES = "tokenizer_config.json"

_CHUNK = 1 << 16  # characters of text that the trainer is handed at once
_MOST_BYTES = 200_000_000  # of a file; a vocabulary of a million tokens has a quarter of it
_SURROGATE = re.compile("[\ud800-\udfff]")


class SubwordTokenizer(Tokenizer):
    """A tokenizer over a pipeline of the library `tokenizers`; a subclass learns the vocabulary."""

    model: ClassVar[str]
    """What `tokenizers` calls the kind of model, such as "BPE"."""
    special: ClassVar[Mapping[str, AddedToken]]
    """Role -> the special token that plays it."""
    optional: ClassVar[Mapping[str, AddedToken]] = {}
    """The same of roles that only some of its vocabularies have."""
    prefix: ClassVar[tuple[str, ...]] = ()
    """Roles of what stands before the first text."""
    between: ClassVar[tuple[str, ...]] = ()
    """Roles of what stands between two texts."""
    suffix: ClassVar[tuple[str, ...]] = ()
    """Roles of what stands after the last text."""
    has_segments: ClassVar[bool] = False
    """Whether the models that it is made for are told which text a token is of."""

    @final
    def __init__(self, pipeline: tokenizers.Tokenizer) -> None:
        """Of a pipeline whose vocabulary has every special token."""
        pipeline.no_padding()
        pipeline.no_truncation()
        pipeline.add_special_tokens(list({token.content: token for token in self.special.values()}.values()))
        pipeline.post_processor = self._template(pipeline)
        self._pipeline = pipeline

    @staticmethod
    @abstractmethod
    def starts_word(token: str) -> bool:
        """Whether a token of the vocabulary, as it is spelled there, begins a word."""

    @cached_property
    def vocabulary(self) -> Vocabulary:
        tokens = self._pipeline.get_vocab(with_added_tokens=True)
        special = {role: tokens[token.content] for role, token in self.roles().items()}
        word_starts = np.zeros(len(tokens), np.bool_)
        for token, number in tokens.items():
            word_starts[number] = self.starts_word(token)
        word_starts[list(special.values())] = True
        word_starts.flags.writeable = False
        return Vocabulary(size=len(tokens), special=special, word_starts=word_starts)

    def roles(self) -> dict[str, AddedToken]:
        """Role -> special token, of those that this vocabulary has."""
        added = {token.content for token in self._pipeline.get_added_tokens_decoder().values()}
        more = {role: token for role, token in self.optional.items() if token.content in added}
        return {**self.special, **more}

    def encode(self, text: str) -> Encoding:
        """Ids and offsets of `text`; raises DataError for half of a surrogate pair, which is no character."""
        try:
            encoded = self._pipeline.encode(text, add_special_tokens=False)
        except (TypeError, UnicodeError):
            raise _not_text([text]) from None
        offsets = np.array(encoded.offsets, np.int64).reshape(-1, 2)
        return Encoding(ids=np.array(encoded.ids, np.int64), offsets=offsets)

    def encode_batch(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        """Ids of each of `texts`; raises DataError as `encode` does."""
        try:
            batch = self._pipeline.encode_batch_fast(list(texts), add_special_tokens=False)
        except (TypeError, UnicodeError):
            raise _not_text(texts) from None
        return [np.array(encoded.ids, np.int64) for encoded in batch]

    def decode(self, ids: Sequence[int] | npt.NDArray[Any]) -> str:
        return self._pipeline.decode(np.asarray(ids, np.int64).tolist(), skip_special_tokens=True)

    def wrap(self, first: npt.NDArray[Any], second: npt.NDArray[Any] | None = None) -> Wrapped:
        prefix, between, suffix = (self._ids(roles) for roles in (self.prefix, self.between, self.suffix))
        if second is None:
            ids = np.concatenate([prefix, first, suffix])
            segments = np.zeros(len(ids), np.int64)
            return Wrapped(ids=ids, segments=segments, first=len(prefix), second=len(ids))
        ids = np.concatenate([prefix, first, between, second, suffix])
        start = len(prefix) + len(first) + len(between)
        segments = (np.arange(len(ids)) >= start).astype(np.int64)
        return Wrapped(ids=ids, segments=segments, first=len(prefix), second=start)

    def save(self, folder: Path) -> None:
        segments = ["token_type_ids"] if self.has_segments else []
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_input_names": ["input_ids", *segments, "attention_mask"],
            **{f"{role}_token": token.content for role, token in self.special.items()},
        }
        if extra := [token.content for role, token in self.roles().items() if role not in self.special]:
            config["extra_special_tokens"] = extra
        (folder / PIPELINE).write_text(self._pipeline.to_str(pretty=True) + "\n", encoding="utf-8", newline="\n")
        (folder / ROLES).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The tokenizer that `save` wrote into `folder`; raises IntegrityError where a file is missing or damaged."""
        _read(folder / ROLES)
        path = folder / PIPELINE
        text = _read(path)
        try:
            pipeline = tokenizers.Tokenizer.from_str(text)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # the library raises nothing more exact, and its panics are no Exceptions
            raise IntegrityError(f"{path}: not a tokenizer: {error}") from None
        if (model := type(pipeline.model).__name__) != cls.model:
            raise IntegrityError(f'{path}: tokenizer "{cls.name}" has a {cls.model} model; this file has {model}')
        tokens = pipeline.get_vocab(with_added_tokens=True)
        missing = {token.content for token in cls.special.values()} - tokens.keys()
        if (unknown := getattr(pipeline.model, "unk_token", None)) is not None:
            missing |= {unknown} - pipeline.get_vocab(with_added_tokens=False).keys()
        if missing:
            raise IntegrityError(f"{path}: the vocabulary lacks {', '.join(sorted(missing))}")
        if sorted(tokens.values()) != list(range(len(tokens))):
            raise IntegrityError(f"{path}: the ids of {len(tokens)} tokens do not run from 0 to {len(tokens) - 1}")
        return cls(pipeline)

    def _ids(self, roles: Sequence[str]) -> npt.NDArray[np.int64]:
        return np.array([self.vocabulary.special[role] for role in roles], np.int64)

    def _template(self, pipeline: tokenizers.Tokenizer) -> TemplateProcessing:
        """What `wrap` does, in the words of `tokenizers`: for those who read the saved files without lmkit."""

        def pieces(roles: Sequence[str], segment: int) -> list[str]:
            return [f"{self.special[role].content}:{segment}" for role in roles]

        start = [*pieces(self.prefix, 0), "$A:0"]
        used = {self.special[role].content for role in (*self.prefix, *self.between, *self.suffix)}
        return TemplateProcessing(
            single=[*start, *pieces(self.suffix, 0)],
            pair=[*start, *pieces(self.between, 0), "$B:1", *pieces(self.suffix, 1)],
            special_tokens=[(token, pipeline.token_to_id(token)) for token in sorted(used)],
        )


def chunks(texts: Iterable[str]) -> Iterator[str]:
    """Pieces of `texts` to train on, cut after a line where there is one, so that no huge text is copied whole.

    Raises DataError for half of a surrogate pair, and at the end where no text had a word.
    """
    empty = True
    for text in texts:
        start = 0
        while start < len(text):
            stop = start + _CHUNK
            if stop < len(text):
                stop = max(text.rfind(mark, start, stop) for mark in "\n ") + 1 or stop
            piece = text[start:stop]
            if _SURROGATE.search(piece):
                raise _not_text([piece])
            empty = empty and piece.isspace()
            yield piece
            start = stop
    if empty:
        raise DataError("no text to train a tokenizer on: every document is empty")


def _not_text(texts: Sequence[str]) -> DataError:
    for number, text in enumerate(texts):
        if found := _SURROGATE.search(text):  # raises TypeError by itself for what is no str
            where = f"text {number}, " if len(texts) > 1 else ""
            around = text[max(0, found.start() - 20) : found.end() + 20]
            return DataError(
                f"{where}character {found.start()} is U+{ord(found[0]):04X}, half of a surrogate pair and no character "
                f"by itself, in {around!r}; repair the text or leave it out"
            )
    raise AssertionError("every text is text")


def _read(path: Path) -> str:
    try:
        if (size := path.stat().st_size) > _MOST_BYTES:
            raise IntegrityError(f"{path}: {size:,} bytes, more than the {_MOST_BYTES:,} that a tokenizer may have")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{path}: not UTF-8 at byte {error.start}") from None
