"""Tokenizer "bpe": byte-level byte-pair encoding, GPT-2's own (Radford et al. 2019, section 2.2).

All 256 bytes are in the vocabulary, so no text is unknown and every text comes back as it was; a character that is rare
in the corpus costs as many tokens as it has bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

import attrs
import tokenizers
from attrs import validators
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers

from lmkit.parts.subwords import SubwordTokenizer, chunks

END = AddedToken("<|endoftext|>", special=True)
SPACE, NEWLINE = "\u0120", "\u010a"
"""How GPT-2 spells these two bytes in its vocabulary."""


@attrs.frozen(kw_only=True)
class BytePairConfig:
    """What to learn from a corpus."""

    vocab_size: int = attrs.field(default=8192, validator=[validators.ge(300), validators.le(1_000_000)])
    """Tokens of the vocabulary, bytes and special ones included; a small corpus may give fewer."""
    min_frequency: int = attrs.field(default=2, validator=[validators.ge(1), validators.le(1_000_000_000)])
    """How often two pieces must stand together to become one."""


class BytePairEncoding(SubwordTokenizer):
    """GPT-2's tokenizer: the bytes of a word, merged in the order in which the merges were learned."""

    name = "bpe"
    Config = BytePairConfig
    model = "BPE"
    special: ClassVar[Mapping[str, AddedToken]] = {
        "bos": END,
        "eos": END,
        "pad": AddedToken("<|pad|>", special=True),
        "mask": AddedToken("<|mask|>", special=True, lstrip=True),  # takes the space that a word would bring along
    }
    prefix = ("bos",)
    between = ("eos",)

    @staticmethod
    def starts_word(token: str) -> bool:
        return token.startswith((SPACE, NEWLINE))

    @classmethod
    def train(cls, config: BytePairConfig, texts: Iterable[str]) -> Self:
        """A new tokenizer; the same texts give the same one."""
        pipeline = tokenizers.Tokenizer(models.BPE())
        pipeline.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        pipeline.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=config.vocab_size,
            min_frequency=config.min_frequency,
            special_tokens=list({token.content: token for token in cls.special.values()}.values()),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        pipeline.train_from_iterator(chunks(texts), trainer)
        return cls(pipeline)
