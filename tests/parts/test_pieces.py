from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkit.interfaces import Encoding, Tokenizer, Vocabulary, Wrapped
from lmkit.parts.pieces import Pieces


class Bytes(Tokenizer):
    """A token for each byte: every character that is not ASCII comes in parts."""

    name = "bytes"

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(size=257, special={"pad": 256}, word_starts=np.ones(257, bool))

    @classmethod
    def train(cls, config: Any, texts: Iterable[str]) -> Self:
        return cls()

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls()

    def save(self, folder: Path) -> None: ...

    def encode(self, text: str) -> Encoding:
        ids = np.frombuffer(text.encode(), np.uint8).astype(np.int64)
        return Encoding(ids=ids, offsets=np.zeros((len(ids), 2), np.int64))

    def encode_batch(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        return [self.encode(text).ids for text in texts]

    def decode(self, ids: Sequence[int] | npt.NDArray[Any]) -> str:
        return bytes(int(i) for i in ids if i < 256).decode(errors="replace")

    def wrap(self, first: npt.NDArray[Any], second: npt.NDArray[Any] | None = None) -> Wrapped:
        return Wrapped(ids=first, segments=first * 0, first=0, second=len(first))


class Joined(Bytes):
    """Letters that are spelled with a space before them, but not as the first of what is decoded."""

    def decode(self, ids: Sequence[int] | npt.NDArray[Any]) -> str:
        return " ".join(chr(int(i)) for i in ids)


def pieces_of(tokens: Iterable[int], prompt: str = "so", stop: Sequence[str] = ()) -> tuple[list[str], Pieces]:
    pieces = Pieces(Bytes(), Bytes().encode(prompt).ids, stop)
    shown = []
    for token in tokens:
        shown.append(pieces.add(token))
        if pieces.stopped:
            break
    shown.append(pieces.finish())
    return shown, pieces


def test_a_character_comes_when_all_its_bytes_have_come() -> None:
    shown, pieces = pieces_of("aé€😀b".encode())
    assert shown == ["a", "", "é", "", "", "€", "", "", "", "😀", "b", ""]
    assert pieces.text == "aé€😀b"


def test_bytes_that_make_no_character_are_shown_as_replaced_once_more_text_comes() -> None:
    assert pieces_of([0xFF, 0xC3, ord("a")])[0] == ["", "", "\ufffd\ufffda", ""]


def test_an_unfinished_character_at_the_end_is_left_out() -> None:
    assert pieces_of("ab😀".encode()[:-1])[1].text == "ab"


def test_special_tokens_show_nothing() -> None:
    assert pieces_of([97, 256, 98])[0] == ["a", "", "b", ""]


def test_a_stop_string_ends_the_text_before_it_even_across_tokens() -> None:
    shown, pieces = pieces_of(b"One.\nStory: two", stop=["\nStory:"])
    assert shown == ["O", "n", "e", ".", "", "", "", "", "", "", "", ""]
    assert pieces.stopped
    assert pieces.text == "One."


def test_what_only_began_like_a_stop_string_is_shown_after_all() -> None:
    shown, pieces = pieces_of(b"a<e<en", stop=["<end>"])
    assert shown == ["a", "", "", "<e", "", "", "<en"]
    assert not pieces.stopped
    assert pieces.text == "a<e<en"


def test_the_first_of_several_stop_strings_counts() -> None:
    assert pieces_of(b"abcdef", stop=["de", "bc", "cdef"])[1].text == "a"


def test_text_goes_on_from_the_prompt() -> None:
    pieces = Pieces(Joined(), np.array([ord("a")]))
    assert [pieces.add(ord("b")), pieces.add(ord("c"))] == [" b", " c"]


TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd") | st.sampled_from("ab"), max_size=20
)


@given(TEXT, st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_pieces_together_are_the_text_before_the_stop_string_that_is_whole_first(text: str, stop: list[str]) -> None:
    shown, pieces = pieces_of(text.encode(), stop=stop)
    starts = ([text[:end].find(mark) for mark in stop if mark in text[:end]] for end in range(len(text) + 1))
    first = next((min(found) for found in starts if found), None)
    assert "".join(shown) == pieces.text == text[:first]
    assert pieces.stopped == (first is not None)


@pytest.mark.parametrize("stop", [(), ("xyz",)])
def test_finishing_twice_adds_nothing(stop: tuple[str, ...]) -> None:
    _, pieces = pieces_of(b"ab xy", stop=stop)
    assert pieces.text == "ab xy"
    assert pieces.finish() == ""
