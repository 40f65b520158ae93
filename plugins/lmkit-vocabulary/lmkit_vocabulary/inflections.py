"""The regular forms of an English word: plural or third person, past, participle; each as it stands and capitalized.

Rules of spelling alone (Quirk et al. 1985, sections 3.5-3.10 and 5.80-5.81): they know neither parts of speech nor
irregular words, so that they offer some forms that English lacks, which a language model finds unlikely.
"""

from __future__ import annotations

import re

_HISSING = re.compile("(s|x|z|ch|sh)$")
_CONSONANT_Y = re.compile("[^aeiou]y$")
_DOUBLES = re.compile("^[^aeiou]*(qu)?[aeiou][^aeiouwxy]$")
"""One syllable with one short vowel before one consonant: stop, stopped; but quiver, quivered."""


def forms(word: str, *, inflected: bool) -> tuple[str, ...]:
    """`word` as given, in lower case and with a capital, and where `inflected` so each of its regular inflections."""
    bases = [word, word.lower()]
    if inflected:
        bases += inflections(word.lower())
    return tuple(dict.fromkeys(form for base in bases for form in (base, base[:1].upper() + base[1:])))


def inflections(word: str) -> tuple[str, ...]:
    """The regular forms of a word in small ASCII letters with -s, -ed and -ing; none of any other, or a short one."""
    if not (len(word) >= 3 and word.isascii() and word.isalpha() and word.islower()):
        return ()
    if _CONSONANT_Y.search(word):
        return f"{word[:-1]}ies", f"{word[:-1]}ied", f"{word}ing"
    plural = f"{word}es" if _HISSING.search(word) else f"{word}s"
    if word.endswith("e"):
        stem = word if word.endswith(("ee", "oe", "ye")) else word[:-1]
        return plural, f"{word}d", f"{stem}ing"
    stem = word + word[-1] if _DOUBLES.search(word) else word
    return plural, f"{stem}ed", f"{stem}ing"
