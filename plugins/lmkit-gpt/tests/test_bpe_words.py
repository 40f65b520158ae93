"""Words that are looked up are cut and encoded as the library does it, whatever the text."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lmkit_gpt.bpe import BytePairConfig, BytePairEncoding
from lmkit_gpt.words import Words, words_of

TEXT = (
    "Robin's bow, we'll say, was 6 feet long; they'd seen 12 of 300.\n\n  \u201cShoot!\u201d cried he\u2014and shot. "
)
ODD = (
    "'sdtmlvre 09 \0\t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0_-.,!\u00b2\u00bd\u00aa\u00b5\u00df\u0301\u0378\u2007"
    "\u200b\u2028\u2160\u2075\u2080\u3000\u4e00\U0001f600<|>aZ"
)


@pytest.fixture(scope="module")
def bpe() -> BytePairEncoding:
    return BytePairEncoding.train(BytePairConfig(vocab_size=400), [TEXT * 20])


def same(bpe: BytePairEncoding, texts: list[str]) -> None:
    for text, ids in zip(texts, bpe.encode_batch(texts), strict=True):
        assert ids.dtype == np.int64
        assert ids.tolist() == bpe.encode(text).ids.tolist(), text


@given(st.lists(st.text(st.sampled_from(ODD), max_size=40), max_size=4))
@example(["it's  'S 's ll'll 've'", "\x1c\x1d a\x1f", " \u00b2 \u00bd2", "  \n  \n", "", " ", "<|endoftext|>a<|pad|>"])
def test_odd_characters_are_cut_as_the_library_cuts_them(bpe: BytePairEncoding, texts: list[str]) -> None:
    same(bpe, texts)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_is_encoded_as_the_library_encodes_it(bpe: BytePairEncoding, text: str) -> None:
    same(bpe, [text, TEXT + text, text + TEXT])


def test_every_plain_character_is_of_the_library_s_kind(bpe: BytePairEncoding) -> None:
    """Beside a letter, a number, a mark and a space: what it is cut from tells its kind."""
    same(bpe, [f"a{c}a 1{c}1 .{c}. {c} {c}a{c}1" for c in map(chr, [*range(0x590), *range(0x2000, 0x20D0)])])


def test_it_is_used_and_forgets_when_it_is_full(bpe: BytePairEncoding, monkeypatch: pytest.MonkeyPatch) -> None:
    words = words_of(bpe._pipeline)
    assert words is not None
    monkeypatch.setattr("lmkit_gpt.words._MOST_WORDS", 3)
    texts = ["one two three four one", "five six", "", "one"]
    for text, ids in zip(texts, words.encode_batch(texts), strict=True):
        assert ids is not None
        assert ids.tolist() == bpe.encode(text).ids.tolist()
    assert len(words) <= 3
    words.encode_batch(["x" * 65])
    assert "x" * 65 not in words
    assert words.encode_batch(["a <| b", "\u4e00", "a\0b"]) == [None] * 3
    assert words.encode_batch([]) == []


def test_with_many_cores_the_library_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    many = BytePairEncoding.train(BytePairConfig(vocab_size=300), [TEXT])
    same(many, [TEXT])
    assert many._words is None
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    assert BytePairEncoding.train(BytePairConfig(vocab_size=300), [TEXT])._words is not None


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}},
        {"word": "Sherwood"},
    ],
    ids=str,
)
def test_a_pipeline_that_does_something_else_is_left_to_the_library(
    bpe: BytePairEncoding, tmp_path: Path, change: dict[str, object]
) -> None:
    bpe.save(tmp_path)
    pipeline = json.loads((tmp_path / "tokenizer.json").read_text())
    if word := change.get("word"):
        token = {**pipeline["added_tokens"][0], "id": len(pipeline["model"]["vocab"]), "content": word}
        pipeline["added_tokens"].append(token)
    (tmp_path / "tokenizer.json").write_text(
        json.dumps({**pipeline, **{k: v for k, v in change.items() if k != "word"}})
    )
    changed = BytePairEncoding.load(tmp_path)
    assert words_of(changed._pipeline) is None
    same(changed, [TEXT, "In Sherwood HE shot"])
    assert isinstance(words_of(bpe._pipeline), Words)
