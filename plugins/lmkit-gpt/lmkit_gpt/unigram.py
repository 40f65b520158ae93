"""Tokenizer "unigram": the likeliest pieces of a word under a model of single pieces (Kudo 2018, section 3.2).

Over bytes as "bpe" is, so no text is unknown and every text comes back as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from io import BytesIO
from tempfile import NamedTemporaryFile
from typing import ClassVar, Self

import attrs
import sentencepiece
from attrs import validators
from tokenizers import AddedToken, models, pre_tokenizers

from lmkit.parts.subwords import chunks
from lmkit_gpt.bpe import MOST_MARKS, ByteLevel

LETTERS = pre_tokenizers.ByteLevel(add_prefix_space=False)
LONGEST_WORD = 1000
"""Bytes of a word that is learned from at once; a longer one, as a script without spaces has them, is cut up."""


@attrs.frozen(kw_only=True)
class UnigramConfig:
    """What to learn from a corpus."""

    vocab_size: int = attrs.field(default=8192, validator=[validators.ge(300), validators.le(1_000_000)])
    """Tokens of the vocabulary, bytes and special ones included; a small corpus may give fewer."""
    longest_piece: int = attrs.field(default=16, validator=[validators.ge(2), validators.le(64)])
    """Bytes of a piece at most."""
    middle: bool = False
    """Whether to add the special tokens by which a model is asked for a text's middle (objective "fim")."""
    marks: int = attrs.field(default=0, validator=[validators.ge(0), validators.le(MOST_MARKS)])
    """Special tokens to add that stand for hidden spans of a text (objective "span-denoising", which wants 100)."""


class Unigram(ByteLevel):
    """Pieces that were kept because they make the corpus likely; a word is cut into its likeliest ones."""

    name = "unigram"
    Config = UnigramConfig
    model = "Unigram"
    special: ClassVar[Mapping[str, AddedToken]] = {
        **ByteLevel.special,
        "unk": AddedToken("<|unk|>", special=True),  # which the model has to have, and no text is
    }

    @classmethod
    def train(cls, config: UnigramConfig, texts: Iterable[str]) -> Self:
        """A new tokenizer; the same texts give the same one.

        Pieces and their scores are SentencePiece's, which finds the same ones each time; the trainer of `tokenizers`
        does not.
        """
        words = Counter(
            word[start : start + LONGEST_WORD]
            for text in chunks(texts)
            for word, _ in LETTERS.pre_tokenize_str(text)
            for start in range(0, len(word), LONGEST_WORD)
        )
        special = cls.special_tokens(middle=config.middle, marks=config.marks)
        pieces = _pieces(words, max(config.vocab_size - len(special), 257), config.longest_piece)
        scored = [*((token.content, 0.0) for token in special), *pieces]
        unknown = next(i for i, token in enumerate(special) if token.content == cls.special["unk"].content)
        pipeline = cls.pipeline(models.Unigram(scored, unk_id=unknown, byte_fallback=False))
        pipeline.add_special_tokens(special)
        return cls(pipeline)


def _pieces(words: Mapping[str, int], size: int, longest: int) -> list[tuple[str, float]]:
    """At most `size` pieces with the logarithms of their probabilities, all single bytes among them."""
    model = BytesIO()
    with NamedTemporaryFile("w", suffix=".tsv", encoding="utf-8") as file:
        file.writelines(f"{word}\t{count}\n" for word, count in sorted(words.items()))
        file.flush()
        sentencepiece.SentencePieceTrainer.train(
            input=file.name,
            input_format="tsv",
            model_writer=model,
            model_type="unigram",
            vocab_size=size + 1,  # with its own unknown token
            hard_vocab_limit=False,
            max_sentencepiece_length=longest,
            required_chars="".join(LETTERS.alphabet()),
            character_coverage=1.0,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            split_by_whitespace=False,
            split_by_unicode_script=False,
            split_by_number=False,
            num_threads=1,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            unk_id=0,
            minloglevel=3,
        )
    found = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    # Short numbers, which a file's reader gives back as they were.
    scores = {found.id_to_piece(i): round(found.get_score(i), 6) for i in range(1, found.get_piece_size())}
    # Bytes that the corpus lacks are the least likely pieces, so that no text is unknown.
    rarest = min(scores.values(), default=0.0) - 1
    letters = sorted(LETTERS.alphabet())
    several = [(piece, score) for piece, score in scores.items() if len(piece) > 1]  # the likeliest first
    return [*((letter, scores.get(letter, rarest)) for letter in letters), *several[: size - len(letters)]]
