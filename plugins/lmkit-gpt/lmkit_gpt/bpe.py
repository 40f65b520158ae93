"""Tokenizer "bpe": byte-level byte-pair encoding, GPT-2's own (Radford et al. 2019, section 2.2).

All 256 bytes are in the vocabulary, so no text is unknown and every text comes back as it was; a character that is rare
in the corpus costs as many tokens as it has bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import ClassVar, Self

import attrs
import numpy as np
import numpy.typing as npt
import tokenizers
from attrs import validators
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers

from lmkit.errors import DataError
from lmkit.parts.subwords import SubwordTokenizer, chunks
from lmkit_gpt.words import Words, words_of

END = AddedToken("<|endoftext|>", special=True)
MIDDLE = ("fim_prefix", "fim_suffix", "fim_middle")
MOST_MARKS = 1000
MANY_CORES = 8
"""With which the library, which uses all, is the faster one: it does 3 MB/s on each, known words go at 22 on one."""
SPACE, NEWLINE = "\u0120", "\u010a"
"""How GPT-2 spells these two bytes in its vocabulary."""


@attrs.frozen(kw_only=True)
class BytePairConfig:
    """What to learn from a corpus."""

    vocab_size: int = attrs.field(default=8192, validator=[validators.ge(300), validators.le(1_000_000)])
    """Tokens of the vocabulary, bytes and special ones included; a small corpus may give fewer."""
    min_frequency: int = attrs.field(default=2, validator=[validators.ge(1), validators.le(1_000_000_000)])
    """How often two pieces must stand together to become one."""
    middle: bool = False
    """Whether to add the special tokens by which a model is asked for a text's middle (objective "fim")."""
    marks: int = attrs.field(default=0, validator=[validators.ge(0), validators.le(MOST_MARKS)])
    """Special tokens to add that stand for hidden spans of a text (objective "span-denoising", which wants 100)."""


class ByteLevel(SubwordTokenizer):
    """What tokenizers of bytes share: special tokens, how a word begins, and the way from bytes to text."""

    special: ClassVar[Mapping[str, AddedToken]] = {
        "bos": END,
        "eos": END,
        "pad": AddedToken("<|pad|>", special=True),
        "mask": AddedToken("<|mask|>", special=True, lstrip=True),  # takes the space that a word would bring along
    }
    optional: ClassVar[Mapping[str, AddedToken]] = {
        role: AddedToken(f"<|{role}|>", special=True) for role in (*MIDDLE, *(f"mark_{n}" for n in range(MOST_MARKS)))
    }
    prefix = ("bos",)
    between = ("eos",)

    @staticmethod
    def starts_word(token: str) -> bool:
        return token.startswith((SPACE, NEWLINE))

    @staticmethod
    def pipeline(model: models.Model) -> tokenizers.Tokenizer:
        """Text as bytes, spelled as GPT-2 spells them, for `model`."""
        pipeline = tokenizers.Tokenizer(model)
        pipeline.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        pipeline.decoder = decoders.ByteLevel()
        return pipeline

    @classmethod
    def special_tokens(cls, *, middle: bool, marks: int) -> list[AddedToken]:
        """Each special token once, with those of `optional` that are asked for."""
        roles = [*(MIDDLE if middle else ()), *(f"mark_{n}" for n in range(marks))]
        tokens = [*cls.special.values(), *(cls.optional[role] for role in roles)]
        return list({token.content: token for token in tokens}.values())


class BytePairEncoding(ByteLevel):
    """GPT-2's tokenizer: the bytes of a word, merged in the order in which the merges were learned."""

    name = "bpe"
    Config = BytePairConfig
    model = "BPE"

    @cached_property
    def _words(self) -> Words | None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return words_of(self._pipeline) if cores < MANY_CORES else None

    def encode_batch(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        if self._words is None:
            return super().encode_batch(texts)
        found = self._words.encode_batch(texts)
        try:
            left = iter(super().encode_batch([text for text, ids in zip(texts, found, strict=True) if ids is None]))
        except DataError:
            return super().encode_batch(texts)  # raises it too, with the text's number among all
        return [next(left) if ids is None else ids for ids in found]

    @classmethod
    def train(cls, config: BytePairConfig, texts: Iterable[str]) -> Self:
        """A new tokenizer; the same texts give the same one."""
        pipeline = cls.pipeline(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=config.vocab_size,
            min_frequency=config.min_frequency,
            special_tokens=cls.special_tokens(middle=config.middle, marks=config.marks),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        pipeline.train_from_iterator(chunks(texts), trainer)
        return cls(pipeline)
