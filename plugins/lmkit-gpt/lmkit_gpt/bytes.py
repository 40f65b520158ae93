"""Tokenizer "bytes": a token for each of the 256 bytes, and nothing to learn (Xue et al. 2022, "ByT5", section 3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs
from attrs import validators
from tokenizers import models, pre_tokenizers

from lmkit_gpt.bpe import MOST_MARKS, ByteLevel


@attrs.frozen(kw_only=True)
class BytesConfig:
    """There is little to choose."""

    middle: bool = False
    """Whether to add the special tokens by which a model is asked for a text's middle (objective "fim")."""
    marks: int = attrs.field(default=0, validator=[validators.ge(0), validators.le(MOST_MARKS)])
    """Special tokens to add that stand for hidden spans of a text (objective "span-denoising", which wants 100)."""


class Bytes(ByteLevel):
    """Every byte of UTF-8 is a token."""

    name = "bytes"
    Config = BytesConfig
    model = "BPE"

    @classmethod
    def train(cls, config: BytesConfig, texts: Iterable[str]) -> Self:
        """A new tokenizer; the texts are not read."""
        special = cls.special_tokens(middle=config.middle, marks=config.marks)
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        vocabulary = {token: number for number, token in enumerate([*(t.content for t in special), *letters])}
        pipeline = cls.pipeline(models.BPE(vocab=vocabulary, merges=[]))
        pipeline.add_special_tokens(special)
        return cls(pipeline)
