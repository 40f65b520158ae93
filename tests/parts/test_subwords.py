from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import attrs
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, models, pre_tokenizers

from lmkit.errors import DataError, IntegrityError
from lmkit.parts.subwords import SubwordTokenizer, chunks


@attrs.frozen(kw_only=True)
class Nothing:
    """A tokenizer that asks nothing."""


class Words(SubwordTokenizer):
    """Every word of the corpus is a token."""

    name = "words"
    Config = Nothing
    model = "WordLevel"
    special: ClassVar[Mapping[str, AddedToken]] = {
        role: AddedToken(f"<{role}>", special=True) for role in ("pad", "unk", "bos", "sep", "eos")
    }
    prefix = ("bos",)
    between = ("sep", "sep")
    suffix = ("eos",)

    @staticmethod
    def starts_word(token: str) -> bool:
        return token[:1].isalpha()

    @classmethod
    def train(cls, config: Nothing, texts: Iterable[str]) -> Words:
        words = sorted({word for piece in chunks(texts) for word in piece.split()})
        ids = {token: number for number, token in enumerate([*(t.content for t in cls.special.values()), *words])}
        pipeline = tokenizers.Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
        pipeline.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        return cls(pipeline)


@pytest.fixture
def words() -> Words:
    return Words.train(Nothing(), ["a bow of yew , a goose shaft"])


@pytest.fixture
def saved(words: Words, tmp_path: Path) -> Path:
    words.save(tmp_path)
    return tmp_path


def test_a_subclass_says_what_surrounds_texts_and_where_words_begin(words: Words) -> None:
    one, two = words.encode("a bow").ids, words.encode("yew , <unk>").ids
    vocabulary = words.vocabulary
    assert dict(vocabulary.special) == {"pad": 0, "unk": 1, "bos": 2, "sep": 3, "eos": 4}
    assert vocabulary.words(two).tolist() == [0, 0, 1]
    pair = words.wrap(one, two)
    assert pair.ids.tolist() == [2, *one, 3, 3, *two, 4]
    assert pair.segments.tolist() == [0] * 5 + [1] * 4
    assert pair.ids[pair.first : pair.first + 2].tolist() == one.tolist()
    assert pair.ids[pair.second : pair.second + 3].tolist() == two.tolist()
    assert words.wrap(one).ids.tolist() == [2, *one, 4]


def test_the_library_wraps_as_we_do(words: Words, saved: Path) -> None:
    theirs = tokenizers.Tokenizer.from_file(str(saved / "tokenizer.json"))
    one, two = words.encode("a bow").ids, words.encode("yew").ids
    assert theirs.encode("a bow").ids == words.wrap(one).ids.tolist()
    pair = theirs.encode("a bow", "yew")
    assert (pair.ids, pair.type_ids) == (words.wrap(one, two).ids.tolist(), words.wrap(one, two).segments.tolist())


def test_no_text_has_no_ids_and_no_offsets(words: Words) -> None:
    encoding = words.encode("")
    assert (encoding.ids.shape, encoding.offsets.shape) == ((0,), (0, 2))
    assert words.encode_batch([]) == []
    assert words.wrap(encoding.ids).ids.tolist() == [2, 4]


def test_padding_and_truncation_of_a_file_are_not_taken_over(saved: Path) -> None:
    path = saved / "tokenizer.json"
    pipeline = tokenizers.Tokenizer.from_file(str(path))
    pipeline.enable_truncation(2)
    pipeline.enable_padding(length=9)
    pipeline.save(str(path))
    assert len(Words.load(saved).encode("a bow of yew").ids) == 4


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(IntegrityError) as caught:
        Words.load(saved)
    assert str(caught.value) == f"{saved / name}: cannot be read: No such file or directory"


def test_a_damaged_file_is_named(saved: Path) -> None:
    path = saved / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(IntegrityError) as caught:
        Words.load(saved)
    assert str(caught.value).startswith(f"{path}: not a tokenizer: ")
    path.write_bytes(b"{\xff")
    with pytest.raises(IntegrityError) as caught:
        Words.load(saved)
    assert str(caught.value) == f"{path}: not UTF-8 at byte 1"


def test_a_file_that_is_too_large_is_not_read(saved: Path) -> None:
    path = saved / "tokenizer.json"
    with path.open("r+b") as file:
        file.truncate(200_000_001)  # a hole: takes no room
    with pytest.raises(IntegrityError) as caught:
        Words.load(saved)
    assert str(caught.value) == f"{path}: 200,000,001 bytes, more than the 200,000,000 that a tokenizer may have"


def test_another_kind_of_tokenizer_is_refused(saved: Path) -> None:
    path = saved / "tokenizer.json"
    tokenizers.Tokenizer(models.BPE()).save(str(path))
    with pytest.raises(IntegrityError) as caught:
        Words.load(saved)
    assert str(caught.value) == f'{path}: tokenizer "words" has a WordLevel model; this file has BPE'


def edit(path: Path, vocabulary: Mapping[str, int]) -> None:
    data = json.loads(path.read_text())
    data["model"]["vocab"] = vocabulary
    data["added_tokens"] = []
    path.write_text(json.dumps(data))


def test_a_vocabulary_without_its_special_tokens_is_refused(saved: Path) -> None:
    path = saved / "tokenizer.json"
    edit(path, {"<pad>": 0, "<bos>": 1, "<sep>": 2, "a": 3})
    with pytest.raises(IntegrityError) as caught:
        Words.load(saved)
    assert str(caught.value) == f"{path}: the vocabulary lacks <eos>, <unk>"


def test_a_vocabulary_with_a_gap_is_refused(saved: Path) -> None:
    path = saved / "tokenizer.json"
    edit(path, {"<pad>": 0, "<unk>": 1, "<bos>": 2, "<sep>": 3, "<eos>": 4, "a": 6})
    with pytest.raises(IntegrityError) as caught:
        Words.load(saved)
    assert str(caught.value) == f"{path}: the ids of 6 tokens do not run from 0 to 5"


def test_what_is_no_text_is_a_mistake_of_the_program(words: Words) -> None:
    with pytest.raises(TypeError):
        words.encode(7)  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.text("ab \n", max_size=30), max_size=5), repeat=st.sampled_from([1, 9_000]))
def test_chunks_are_the_texts_cut_after_lines_or_spaces(texts: list[str], repeat: int) -> None:
    texts = [text * repeat for text in texts] + ["a"]
    pieces = list(chunks(texts))
    assert "".join(pieces) == "".join(texts)
    assert all(0 < len(piece) <= 65_536 for piece in pieces)
    cut = [piece for piece in pieces if len(piece) < 65_536]
    assert len(cut) >= 1
    assert all(any(text.endswith(piece) for text in texts) or piece[-1] in " \n" for piece in cut)


def test_a_line_without_an_end_is_cut_all_the_same() -> None:
    assert [len(piece) for piece in chunks(["x" * 150_000])] == [65_536, 65_536, 18_928]


def test_documents_without_a_word_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        list(chunks(["", "\n \t"]))
    assert str(caught.value) == "no text to train a tokenizer on: every document is empty"
