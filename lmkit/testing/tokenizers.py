"""Checks of a tokenizer: its ids, offsets and special tokens, and that training and saving repeat themselves."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lmkit.errors import CheckpointError, LmkitError
from lmkit.interfaces import Encoding, Tokenizer
from lmkit.testing.check import Checks, Failed, expect
from lmkit.testing.common import check_config
from lmkit.testing.samples import HALF_A_SURROGATE, NAUGHTY_TEXTS, TEXTS
from lmkit.testing.subjects import TokenizerSubject

CHECKS: Checks[TokenizerSubject] = Checks()
ROLES = {"pad", "unk", "cls", "sep", "mask", "bos", "eos"}
ASKED_FOR = re.compile(r"fim_(prefix|suffix|middle)|mark_[0-9]+")
MAY_BE_ONE = ({"bos", "eos"}, {"cls", "bos"}, {"sep", "eos"})
"""Roles that one token may play."""


@CHECKS.add
def config_is_closed(subject: TokenizerSubject) -> None:
    """Its Config is a frozen attrs class with a sentence under each field."""
    check_config(subject.component.Config, subject.config)


@CHECKS.add
def special_tokens_have_roles(subject: TokenizerSubject) -> None:
    """There is a pad token; ids of known roles lie within the vocabulary, different ones for different roles."""
    vocabulary = subject.tokenizer.vocabulary
    special = dict(vocabulary.special)
    expect("pad" in special, 'a token of role "pad"', sorted(special), "batches cannot be filled without one")
    unknown = sorted(role for role in special if role not in ROLES and not ASKED_FOR.fullmatch(role))
    expect(not unknown, f"roles among {sorted(ROLES)}", unknown, "a typo, or a token that is no role")
    outside = {role: number for role, number in special.items() if not 0 <= number < vocabulary.size}
    expect(not outside, f"special ids below {vocabulary.size}", outside, "tokens added after the size was taken")
    same = [{a, b} for a in special for b in special if a < b and special[a] == special[b]]
    wrong = [sorted(pair) for pair in same if pair not in MAY_BE_ONE]
    expect(not wrong, "different tokens for these roles", wrong, "a role that falls back on another's token")


@CHECKS.add
def word_starts_fit(subject: TokenizerSubject) -> None:
    """word_starts is [size] bool, true for special tokens and for the first token of a word after a space."""
    vocabulary = subject.tokenizer.vocabulary
    starts = vocabulary.word_starts
    fits = starts.shape == (vocabulary.size,) and starts.dtype == np.bool_
    expect(
        fits, f"word_starts [{vocabulary.size}] bool", f"{starts.shape} {starts.dtype}", "added tokens were left out"
    )
    special = vocabulary.special_ids()
    expect(bool(starts[special].all()), "special tokens to begin words", "some do not", "set them to True")
    for text in TEXTS:
        ids = subject.tokenizer.encode(text).ids
        found, least = int(vocabulary.words(ids)[-1]) + 1, len(text.split())
        expect(
            least <= found <= len(ids),
            f"{least} words or more in {text!r}",
            found,
            "the mark of a word's start is another",
        )


@CHECKS.add
def ids_are_in_range(subject: TokenizerSubject) -> None:
    """Ids are [n] int64 within the vocabulary, of any text; an empty text has none."""
    size = subject.tokenizer.vocabulary.size
    for text, encoding in _encoded(subject.tokenizer):
        ids = encoding.ids
        expect(ids.ndim == 1 and ids.dtype == np.int64, "[n] int64 ids", f"{ids.shape} {ids.dtype}", "a missing dtype")
        inside = bool(((ids >= 0) & (ids < size)).all())
        expect(
            inside, f"ids below {size} for {_short(text)}", ids.max(initial=0), "tokens beyond the vocabulary's size"
        )
    empty = subject.tokenizer.encode("").ids
    expect(not len(empty), "no ids for an empty text", empty.tolist(), "special tokens belong to wrap")


@CHECKS.add
def batches_encode_alike(subject: TokenizerSubject) -> None:
    """encode_batch gives the ids of encode, text by text; of no texts none."""
    tokenizer, texts = subject.tokenizer, [text for text, _ in _encoded(subject.tokenizer)]
    batch = tokenizer.encode_batch(texts)
    expect(len(batch) == len(texts), f"ids of {len(texts)} texts", len(batch), "texts are left out")
    for text, ids in zip(texts, batch, strict=True):
        same = np.array_equal(ids, tokenizer.encode(text).ids)
        expect(
            same, f"the ids of encode for {_short(text)}", ids[:8].tolist(), "another normalization, or special tokens"
        )
    expect(tokenizer.encode_batch([]) == [], "no ids of no texts", tokenizer.encode_batch([]), "an empty batch")


@CHECKS.add
def offsets_point_into_the_text(subject: TokenizerSubject) -> None:
    """Offsets are [n, 2] characters of the text, rising; those of plain words cover all their letters."""
    for text, encoding in _encoded(subject.tokenizer):
        offsets, count = encoding.offsets, len(encoding.ids)
        shaped = offsets.shape == (count, 2)
        expect(shaped, f"offsets ({count}, 2) for {_short(text)}", offsets.shape, "offsets of another encoding")
        starts, ends = offsets[:, 0], offsets[:, 1]
        inside = bool(((starts >= 0) & (starts <= ends) & (ends <= len(text))).all())
        expect(
            inside, f"0 <= start <= end <= {len(text)} for {_short(text)}", offsets[-1:].tolist(), "offsets in bytes"
        )
        rising = bool((np.diff(starts) >= 0).all() and (np.diff(ends) >= 0).all())
        expect(rising, f"offsets that never fall, for {_short(text)}", "a step back", "offsets of a reordered text")
    for text in (*TEXTS, "é ü ß 漢 words after letters of several bytes"):
        covered = {
            place for start, end in subject.tokenizer.encode(text).offsets.tolist() for place in range(start, end)
        }
        missed = [c for place, c in enumerate(text) if c.isascii() and c.isalpha() and place not in covered]
        expect(
            not missed, f"offsets that cover the letters of {text!r}", f"none for {missed}", "offsets of another text"
        )


@CHECKS.add
def plain_text_comes_back(subject: TokenizerSubject) -> None:
    """Words that it was trained on come back as they were."""
    for text in TEXTS:
        words = "".join(c for c in text if c.isalpha() or c == " ")
        again = subject.tokenizer.decode(subject.tokenizer.encode(words).ids)
        expect(again == words, repr(words), repr(again), "spaces that decode adds or drops")


@CHECKS.add
def decoding_settles(subject: TokenizerSubject) -> None:
    """decode(encode(text)) is a text that encodes and decodes to itself; special tokens are left out of it."""
    tokenizer = subject.tokenizer
    for text, encoding in _encoded(tokenizer):
        once = tokenizer.decode(encoding.ids)
        twice = tokenizer.decode(tokenizer.encode(once).ids)
        expect(
            once == twice,
            f"{_short(once)} to stay, for {_short(text)}",
            _short(twice),
            "decode undoes less than encode",
        )
    special = tokenizer.decode(tokenizer.vocabulary.special_ids())
    expect(not special.strip(), "no text of special tokens", repr(special), "skip_special_tokens is missing")


@CHECKS.add
def wrap_says_where_texts_are(subject: TokenizerSubject) -> None:
    """Wrapped texts lie where `first` and `second` say, in segments 0 and 1, between special tokens."""
    tokenizer = subject.tokenizer
    texts = [tokenizer.encode(text).ids for text in (*TEXTS[:2], "")]
    special = tokenizer.vocabulary.special_ids()
    for one in texts:
        for other in (None, *texts):
            wrapped = tokenizer.wrap(one, other)
            ids, first, second = wrapped.ids, wrapped.first, wrapped.second
            count = 0 if other is None else len(other)
            likely = "special tokens that are not counted"
            expect(
                np.array_equal(ids[first : first + len(one)], one), f"the first text at {first}", ids.tolist(), likely
            )
            at = len(ids) if other is None else second
            expect(second == at, f"second = {at} where there is one text", second, likely)
            if other is not None:
                expect(np.array_equal(ids[at : at + count], other), f"the second text at {at}", ids.tolist(), likely)
            around = np.ones(len(ids), bool)
            around[first : first + len(one)] = around[at : at + count] = False
            expect(bool(np.isin(ids[around], special).all()), "special tokens around texts", ids[around], likely)
            segments = wrapped.segments
            fits = (
                segments.shape == ids.shape and not segments[:at].any() and bool((segments[at : at + count] == 1).all())
            )
            expect(fits, f"segments 0 before {at}, then 1", segments.tolist(), "segments that start elsewhere")


@CHECKS.add
def training_repeats(subject: TokenizerSubject) -> None:
    """The same texts give the same tokenizer, to the byte of its files."""
    one, other = _saved(subject.tokenizer), _saved(subject.train())
    changed = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
    expect(
        not changed, "the same files from the same texts", f"other {changed}", "an order that a set or threads decide"
    )


@CHECKS.add
def saving_repeats(subject: TokenizerSubject) -> None:
    """What is loaded has the same ids and vocabulary, and writes the same bytes again."""
    tokenizer = subject.tokenizer
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer.save(folder)
        loaded = subject.component.load(folder)
    first, again, copy = _saved(tokenizer), _saved(tokenizer), _saved(loaded)
    expect(bool(first), "files in the folder", "none", "save writes elsewhere")
    expect(first == again, "the same bytes from saving twice", "others", "a time, a path or a set is written")
    changed = [name for name in first.keys() | copy.keys() if first.get(name) != copy.get(name)]
    expect(not changed, "the same bytes from what was loaded", f"other {changed}", "load changes or forgets something")
    one, other = tokenizer.vocabulary, loaded.vocabulary
    same = one.size == other.size and dict(one.special) == dict(other.special)
    same = same and np.array_equal(one.word_starts, other.word_starts)
    expect(same, "the same vocabulary after loading", other, "load changes or forgets something")
    for text, encoding in _encoded(tokenizer):
        same = np.array_equal(encoding.ids, loaded.encode(text).ids)
        expect(same, f"the same ids after loading, for {_short(text)}", "others", "load changes or forgets something")


@CHECKS.add
def an_empty_folder_is_told(subject: TokenizerSubject) -> None:
    """Loading from a folder that holds nothing raises CheckpointError."""
    with tempfile.TemporaryDirectory() as name:
        try:
            subject.component.load(Path(name))
        except CheckpointError:
            return
        except Exception as error:
            raise Failed(
                "CheckpointError", f"{type(error).__name__}: {error}", "an error of the library's own"
            ) from None
    raise Failed("CheckpointError", "a tokenizer out of nothing", "a missing file is taken for an empty one")


@CHECKS.add
def half_a_surrogate_is_told(subject: TokenizerSubject) -> None:
    """Text that is no valid Unicode is encoded, or refused with an error of lmkit's; never a crash."""
    for encode in (subject.tokenizer.encode, lambda text: subject.tokenizer.encode_batch([text])):
        try:
            encode(HALF_A_SURROGATE)
        except LmkitError:
            continue
        except Exception as error:
            came = f"{type(error).__name__}: {error}"
            raise Failed("a DataError, or ids", came, "an error of the library's own") from None


def _encoded(tokenizer: Tokenizer) -> Iterator[tuple[str, Encoding]]:
    for text in (*TEXTS, *NAUGHTY_TEXTS):
        yield text, tokenizer.encode(text)


def _saved(tokenizer: Tokenizer) -> dict[str, bytes]:
    """The files that `save` writes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer.save(folder)
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _short(text: str) -> str:
    return ascii(text if len(text) <= 40 else f"{text[:37]}...")
