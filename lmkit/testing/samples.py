"""What components are tried on: sentences, texts that break things, and examples as a run would make them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmkit.batch import Example
from lmkit.interfaces import Tokenizer

TEXTS = (
    "the old man went down to the river and caught a fish",
    "a fox ran over the hill, and nobody saw it again",
    "every morning the baker opens his shop at six",
    "what is the moon made of? nobody in the village knew",
    "rain fell for nine days until the bridge broke",
    "she wrote a letter to the king and never sent it",
    "my sister keeps three goats, two ducks and a cat",
    "when the bell rings the children run to the sea",
)
"""Plain sentences, all different from their first word on."""

NAUGHTY_TEXTS = (
    "",
    " ",
    "\n\n\t  \r\n",
    "\x00",
    "a\x00b\x07c\x1b[31m",
    "\ufeffbyte order mark",
    "naïve café — “quotes” … ½ ﬁ",
    "e\u0301 cafe\u0301 \u0301\u0302\u0303",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽",
    "مرحبا بالعالم \u202eabc\u202c שלום",
    "漢字とかな 한국어 ไทยไม่มีช่องว่าง",
    "𝒳𝓎𝓏 \U0001f9ff \U0010ffff \ue000 \ufffe",
    "zero\u200bwidth\u00adsoft\u2060joiner",
    "[MASK] <mask> [CLS] [SEP] [PAD] <|endoftext|> </s> <pad>",
    "<script>alert('1')</script> ${HOME} %s %n {0} ../../etc",
    "word" * 2000,
    "a " * 2000,
    "1234567890" * 50,
    "İstanbul ß ΣΑΣ ŉ",
)
"""Texts that have broken tokenizers and what reads them."""

HALF_A_SURROGATE = "half a \ud83d character"
"""No valid Unicode: to be refused by name, if it is refused."""


def blocks(tokenizer: Tokenizer, count: int = 8, *, capacity: int = 96) -> list[Example]:
    """Blocks as pre-training cuts them: one to three pieces of sentences each, packed, with room left over."""
    texts = [tokenizer.wrap(ids).ids for ids in tokenizer.encode_batch(TEXTS)]
    longest = (capacity - 6) // 3
    made = []
    for number in range(count):
        parts = [texts[(number + 3 * step) % len(texts)] for step in range(1 + number % 3)]
        parts = [part[: max(2, longest - 3 * ((number + step) % 4))] for step, part in enumerate(parts)]
        tokens, lengths = np.concatenate(parts), tuple(map(len, parts))
        made.append(Example(tokens=tokens, lengths=lengths, key=(7, 0, number), capacity=capacity))
    return made


def sentences(tokenizer: Tokenizer, count: int = 8) -> list[Example]:
    """Single sentences of different lengths, as tasks make them: they may share rows."""
    pairs = enumerate(tokenizer.encode_batch(TEXTS[:count]))
    wrapped = [tokenizer.wrap(ids[: 4 + 3 * number]).ids for number, ids in pairs]
    return [Example(tokens=t, lengths=(len(t),), key=(8, 0, number)) for number, t in enumerate(wrapped)]


def noise(tokens: Sequence[int], count: int, *, seed: int) -> list[Example]:
    """Short sequences of `tokens` drawn at random, which nobody can predict."""
    rng = np.random.default_rng((9, seed))
    made = []
    for number in range(count):
        ids = rng.choice(np.array(tokens), 2 + number % 3)
        made.append(Example(tokens=ids, lengths=(len(ids),), key=(9, seed, number)))
    return made
