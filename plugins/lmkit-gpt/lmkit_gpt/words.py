"""Words: text is cut as GPT-2 cuts it, and each word is encoded once; what comes again is looked up.

The library cuts every occurrence anew, on all cores at once; this does it on one, some seven times as fast as it does
on one of them, so that with many cores the library is left to it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
import tokenizers

_MOST_WORDS = 200_000
"""Kept at once, some 30 MB; then all are forgotten, and the frequent ones are soon back."""
_LONGEST = 64
"""Characters of a word that is kept: longer ones seldom come again."""
_AT_ONCE = 1 << 20
_BORDER, _BORDER_ID = "\0", np.int64(-1)
"""What stands between texts that are cut at one go, and between their ids."""
_CUT = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


class Words(dict[str, bytes]):
    """Word -> its ids, as bytes of int64; one that is not there is encoded by `pipeline`, and kept."""

    def __init__(self, pipeline: tokenizers.Tokenizer) -> None:
        super().__init__({_BORDER: _BORDER_ID.tobytes()})
        self._pipeline = pipeline

    def __missing__(self, word: str) -> bytes:
        if word == _BORDER:  # forgotten with the others
            return _BORDER_ID.tobytes()
        ids = np.array(self._pipeline.encode(word, add_special_tokens=False).ids, np.int64).tobytes()
        if len(word) <= _LONGEST:
            if len(self) >= _MOST_WORDS:
                self.clear()
            self[word] = ids
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64] | None]:
        """The ids of each text; None where only the library knows how it is cut."""
        found: list[npt.NDArray[np.int64] | None] = [None] * len(texts)
        known = [n for n, text in enumerate(texts) if "<|" not in text and _BORDER not in text]
        ascii_ones = [n for n in known if texts[n].isascii()]
        plain_ones = [n for n in known if not texts[n].isascii() and _is_plain(texts[n])]
        for cut, chosen in ((_cut_ascii, ascii_ones), (_cut_plain, plain_ones)):
            for some in _portions(texts, chosen):
                words = cut(_BORDER.join(texts[n] for n in some))
                ids = np.frombuffer(bytearray().join(map(self.__getitem__, words)), np.int64)
                borders = np.flatnonzero(ids == _BORDER_ID)
                for n, start, stop in zip(some, [0, *(borders + 1)], [*borders, len(ids)], strict=True):
                    found[n] = ids[start:stop]
        return found


def _portions(texts: Sequence[str], chosen: Iterable[int]) -> Iterator[list[int]]:
    """As many at once as have some megabyte of text, since a word takes ten times the memory while it is one."""
    some: list[int] = []
    size = 0
    for number in chosen:
        some.append(number)
        size += len(texts[number])
        if size >= _AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some


def words_of(pipeline: tokenizers.Tokenizer) -> Words | None:
    """The words of a pipeline that does nothing but cut as GPT-2 does; None for another."""
    parts = json.loads(pipeline.to_str())
    special = [token["content"] for token in parts["added_tokens"]]
    plain = parts["normalizer"] is None and parts["pre_tokenizer"] == _CUT and not parts["model"].get("dropout")
    return Words(pipeline) if plain and all(content.startswith("<|") for content in special) else None


_PLAIN = [
    code
    for code in chain(range(0x530), range(0x2000, 0x2065), range(0x2070, 0x20A1))
    if unicodedata.category(chr(code)) != "Cn"
]
"""Latin, Greek, Cyrillic, punctuation and currencies: characters that every version of Unicode knows alike."""
_SPACE = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"


def _cutter(codes: Iterable[int]) -> Callable[[str], list[str]]:
    """What cuts text of these characters, and texts with borders between them, each as if it were alone."""
    kinds: dict[str, list[str]] = {"L": [], "N": []}
    for code in codes:
        kinds.setdefault(unicodedata.category(chr(code))[0], []).append(re.escape(chr(code)))
    letter, number = ("".join(kinds[kind]) for kind in "LN")
    mark, space = f"[^{letter}{number}{_SPACE}\\0]", f"[{_SPACE}]"
    return re.compile(
        f"'(?:[sdmt]|ll|ve|re)| ?[{letter}]+| ?[{number}]+| ?{mark}+|{space}+(?![^{_SPACE}\\0])|{space}+|\\0"
    ).findall


_cut_ascii = _cutter(range(128))
_cut_plain = _cutter(_PLAIN)
_is_plain = re.compile("[" + "".join(re.escape(chr(code)) for code in _PLAIN) + "]*").fullmatch
