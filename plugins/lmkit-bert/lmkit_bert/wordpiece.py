"""Tokenizer "wordpiece": BERT's own, with its normalizer and its greedy longest match (Devlin et al. 2019, section 3).

The vocabulary is learned with a mark before each word instead of "##" within it, and spelled BERT's way afterwards: the
library's own trainer for "##" gives another vocabulary each time. As many tokens for a text, half as much time again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Self

import attrs
import tokenizers
from attrs import validators
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, trainers

from lmkit.parts.subwords import SubwordTokenizer, chunks

CONTINUES = "##"

_MARK = "\ue000"  # for private use, so that the normalizer never leaves one in a text
_MORE = (
    10_000  # merges beyond the vocabulary's size: room for characters, and for what is spelled the same without marks
)


@attrs.frozen(kw_only=True)
class WordPieceConfig:
    """What to learn from a corpus."""

    vocab_size: int = attrs.field(default=8192, validator=[validators.ge(300), validators.le(1_000_000)])
    """Tokens of the vocabulary, special ones included; a small corpus may give fewer."""
    lowercase: bool = True
    """Whether text is lower-cased and loses its accents."""
    min_frequency: int = attrs.field(default=2, validator=[validators.ge(1), validators.le(1_000_000_000)])
    """How often two pieces must stand together to become one."""


class WordPiece(SubwordTokenizer):
    """BERT's tokenizer: words cut greedily into the longest pieces that the vocabulary has."""

    name = "wordpiece"
    Config = WordPieceConfig
    model = "WordPiece"
    special: ClassVar[Mapping[str, AddedToken]] = {
        role: AddedToken(f"[{role.upper()}]", special=True) for role in ("pad", "unk", "cls", "sep", "mask")
    }
    prefix = ("cls",)
    between = ("sep",)
    suffix = ("sep",)
    has_segments = True

    @staticmethod
    def starts_word(token: str) -> bool:
        return not token.startswith(CONTINUES)

    @classmethod
    def train(cls, config: WordPieceConfig, texts: Iterable[str]) -> Self:
        """A new tokenizer; the same texts give the same one."""
        normalizer = normalizers.BertNormalizer(lowercase=config.lowercase)
        splitter = pre_tokenizers.BertPreTokenizer()
        learner = tokenizers.Tokenizer(models.BPE())
        learner.normalizer = normalizer
        learner.pre_tokenizer = pre_tokenizers.Sequence(
            [splitter, pre_tokenizers.Metaspace(replacement=_MARK, prepend_scheme="always", split=False)]
        )
        trainer = trainers.BpeTrainer(
            vocab_size=config.vocab_size + _MORE, min_frequency=config.min_frequency, show_progress=False
        )
        characters: Counter[str] = Counter()

        def counted() -> Iterator[str]:
            for piece in chunks(texts):
                characters.update(piece)
                yield piece

        learner.train_from_iterator(counted(), trainer)
        learned = sorted(learner.get_vocab().items(), key=lambda item: item[1])
        ranked = _letters(characters, normalizer, splitter)
        alphabet = sorted(ranked[: config.vocab_size // 2], key=lambda token: (len(token), token))
        known = {_MARK, *(token[-1] for token in alphabet)}
        pieces = [_spelled(token) for token, _ in learned if len(token) > 1 and known.issuperset(token)]
        special = [token.content for token in cls.special.values()]
        vocabulary = list(dict.fromkeys([*special, *alphabet, *pieces, *ranked]))[: config.vocab_size]

        ids = {token: number for number, token in enumerate(vocabulary)}
        pipeline = tokenizers.Tokenizer(models.WordPiece(ids, unk_token=cls.special["unk"].content))
        pipeline.normalizer = normalizer
        pipeline.pre_tokenizer = splitter
        pipeline.decoder = decoders.WordPiece(prefix=CONTINUES)
        return cls(pipeline)


def _spelled(learned: str) -> str:
    return learned[1:] if learned.startswith(_MARK) else CONTINUES + learned


def _letters(
    characters: Mapping[str, int], normalizer: normalizers.BertNormalizer, splitter: pre_tokenizers.BertPreTokenizer
) -> list[str]:
    """Tokens of one character, the most frequent first: as a word's start and, where one can stand there, within it."""
    letters: Counter[str] = Counter()
    for character, count in characters.items():
        for letter in normalizer.normalize_str(character).strip():
            letters[letter] += count
    tokens = []
    for letter, _ in sorted(letters.items(), key=lambda item: (-item[1], item[0])):
        joins = len(splitter.pre_tokenize_str(normalizer.normalize_str("a" + letter))) == 1
        tokens += [letter, CONTINUES + letter] if joins else [letter]
    return tokens
