"""Words are found in texts, and windows hold each of them once, in its surroundings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lmkit_finetune.sentences import pieces_of, word_windows, words_of

from lmkit.testing.reference import ByteTokenizer

BYTES = ByteTokenizer.train(ByteTokenizer.Config(), ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n\t", []),
        ("The U.S. won.", ["The", "U", ".", "S", ".", "won", "."]),
        ("e\u0301te\u0301\u00a0हिन्दी", ["e\u0301te\u0301", "हिन्दी"]),
        ("a\x00b", ["a", "\x00", "b"]),
        ("“3,5 %”", ["“", "3", ",", "5", "%", "”"]),
    ],
)
def test_texts_are_split_at_white_space_and_punctuation(text: str, words: list[str]) -> None:
    found = words_of({"text": text}, "text")
    assert found.words == words
    assert [text[start:end] for start, end in found.offsets] == words


@given(st.text(max_size=40))
def test_no_character_but_white_space_is_lost(text: str) -> None:
    assert "".join(words_of({"text": text}, "text").words) == "".join(text.split())


def test_words_within_a_sentence_have_a_space_before_them() -> None:
    pieces = pieces_of(BYTES, ["old", "man"])
    assert [BYTES.decode(piece) for piece in pieces] == ["old", " man"]


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(8, 40), st.booleans())
def test_each_word_is_tagged_once_in_its_surroundings(lengths: list[int], longest: int, last: bool) -> None:
    """Token 7 + n is of word n, but 0 at the place by which the word is tagged."""
    pieces = [np.full(length, 7 + number) for number, length in enumerate(lengths)]
    windows = list(word_windows(BYTES, pieces, longest, last=last))
    seen = [int(word) for window in windows for word in window.words]
    assert seen == [number for number, length in enumerate(lengths) if length]
    room = longest - 2
    for window in windows:
        tokens = window.example.tokens
        assert len(tokens) <= longest
        assert (tokens[window.places] == 7 + window.words).all()
        neighbours = tokens[window.places + (1 if last else -1)]
        assert (neighbours != 7 + window.words).all()
    if sum(lengths) <= room - room // 4:
        assert len(windows) == (sum(lengths) > 0)


def test_a_quarter_of_a_window_stands_around_what_is_tagged() -> None:
    pieces = [np.full(1, 7 + number) for number in range(200)]
    windows = list(word_windows(BYTES, pieces, 42, last=False))
    assert len(windows) == 9  # 30 words, seven times 20, and 30
    for window in windows[1:-1]:
        assert window.places[0] == 1 + 10
        assert window.places[-1] == 40 - 10
    assert windows[0].places[0] == 1
    assert windows[-1].places[-1] == len(windows[-1].example.tokens) - 2
