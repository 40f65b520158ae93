"""What a tokenizer's tokens do in a sentence: end a word, end the sentence, or have no place in it."""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from lmkit.interfaces import Tokenizer
from lmkit.parts.pieces import REPLACEMENT
from lmkit_vocabulary.sentences import closes

_LETTER = "a"


@attrs.frozen(eq=False)
class TokenKinds:
    """Of every token of a vocabulary, as it reads after a letter."""

    separates: npt.NDArray[np.bool_]
    """[vocabulary] whether it ends the word before it."""
    plain: npt.NDArray[np.bool_]
    """[vocabulary] whether it may stand in a sentence: no special token, line break or part of a character."""
    begins: npt.NDArray[np.bool_]
    """[vocabulary] whether a sentence may begin with it: not with a small letter, where the vocabulary has capitals."""
    closers: tuple[int, ...]
    """Those that may end a sentence, the end of a text among them."""


def token_kinds(tokenizer: Tokenizer) -> TokenKinds:
    """The kinds of all tokens of `tokenizer`."""
    vocabulary = tokenizer.vocabulary
    before = tokenizer.encode(_LETTER).ids
    start = len(tokenizer.decode(before))
    special = set(vocabulary.special_ids().tolist())
    ends = {vocabulary.special["eos"]} & special if "eos" in vocabulary.special else set()
    separates = np.zeros(vocabulary.size, np.bool_)
    plain = np.zeros(vocabulary.size, np.bool_)
    small = np.zeros(vocabulary.size, np.bool_)
    capitals = False
    closers = sorted(ends)
    for token in range(vocabulary.size):
        if token in special:
            separates[token] = True
            continue
        text = tokenizer.decode([*before, token])[start:]
        if not text or REPLACEMENT in text or not text.isprintable():
            continue
        plain[token] = True
        separates[token] = not (text[0].isalnum() or text[0] == "_")
        small[token] = next((c.islower() for c in text if c.isalpha()), False)
        capitals = capitals or text != text.lower()
        if separates[token] and closes(text):
            closers.append(token)
    begins = separates & ~small if capitals else separates
    return TokenKinds(separates=separates, plain=plain, begins=begins, closers=tuple(closers))
