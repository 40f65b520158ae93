"""How SQuAD compares answers: exact match and F1 of words, once normalized (Rajpurkar et al. 2016, section 6.1)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalized(text: str) -> str:
    """`text` in lower case, without ASCII punctuation and English articles, single spaces between its words."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, gold: Sequence[str]) -> float:
    """1 where `answer` is one of `gold`, else 0; no gold answer is an empty one."""
    return float(normalized(answer) in {normalized(text) for text in gold or [""]})


def f1(answer: str, gold: Sequence[str]) -> float:
    """The largest F1 of the words of `answer` and of one of `gold`; no gold answer is an empty one."""
    return max(_f1(normalized(answer).split(), normalized(text).split()) for text in gold or [""])


def _f1(said: Sequence[str], wanted: Sequence[str]) -> float:
    if not said or not wanted:
        return float(said == wanted)
    return 2 * (Counter(said) & Counter(wanted)).total() / (len(said) + len(wanted))
