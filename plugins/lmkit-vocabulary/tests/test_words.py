"""Reading words, finding them, inflecting them, and where sentences end."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lmkit_vocabulary.inflections import forms, inflections
from lmkit_vocabulary.rarity import unfamiliar
from lmkit_vocabulary.sentences import closes, sentences, well_formed
from lmkit_vocabulary.words import Word, words_of

from lmkit.errors import DataError
from lmkit.testing.reference import ByteTokenizer


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("quiver", ("quivers", "quivered", "quivering")),
        ("marry", ("marries", "married", "marrying")),
        ("play", ("plays", "played", "playing")),
        ("watch", ("watches", "watched", "watching")),
        ("glade", ("glades", "gladed", "glading")),
        ("agree", ("agrees", "agreed", "agreeing")),
        ("stop", ("stops", "stopped", "stopping")),
        ("quit", ("quits", "quitted", "quitting")),
        ("bow", ("bows", "bowed", "bowing")),
        ("mix", ("mixes", "mixed", "mixing")),
        ("loot", ("loots", "looted", "looting")),
        ("ox", ()),
        ("Robin", ()),
        ("café", ()),
        ("long-bow", ()),
    ],
)
def test_inflections(word: str, expected: tuple[str, ...]) -> None:
    assert inflections(word) == expected


@given(st.text(min_size=1, max_size=12))
def test_forms_begin_with_the_word_and_differ(word: str) -> None:
    plain, inflected = forms(word, inflected=False), forms(word, inflected=True)
    assert plain[0] == inflected[0] == word
    assert len(set(inflected)) == len(inflected)
    assert set(plain) <= set(inflected)


@given(st.from_regex(r"[a-z]{3,10}", fullmatch=True))
def test_inflections_keep_most_of_the_word(word: str) -> None:
    made = inflections(word)
    assert len(made) == 3
    assert all(form.startswith(word[:-1]) for form in made)
    assert (made[0][-1], made[1][-1], made[2][-3:]) == ("s", "d", "ing")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("quiver, sheriff", ["quiver", "sheriff"]),
        ("  quiver ,, 'sheriff.' , Quiver", ["quiver", "sheriff"]),
        (["the.", "long  bow", "will-o'-the-wisp"], ["the", "long bow", "will-o'-the-wisp"]),
        (["a, b"], ["a, b"]),
        ("漢字, naïve", ["漢字", "naïve"]),
    ],
)
def test_words_of_a_row(given: object, expected: list[str]) -> None:
    assert [word.text for word in words_of({"words": given}, "words", inflected=True)] == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "no word in it: write at least one"),
        (" , ,", "no word in it"),
        ([], "no word in it"),
        ("bow, !!!", "'!!!' has no letter or digit"),
        (["👍"], "'👍' has no letter or digit"),
        (["bow", 7], 'column "words": wanted text, got int 7'),
        (None, "wanted text, got NoneType None"),
    ],
)
def test_what_is_no_word_is_told(given: object, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        words_of({"words": given}, "words", inflected=True)


@given(st.lists(st.text(max_size=8), max_size=6))
def test_any_list_gives_words_or_an_error(given: list[str]) -> None:
    try:
        words = words_of({"words": given}, "words", inflected=True)
    except DataError:
        return
    assert words
    for word in words:
        assert word.find(f"({word.text})")
    folded = [word.text.casefold() for word in words]
    assert len(set(folded)) == len(folded)


def test_only_whole_words_count_and_case_does_not() -> None:
    bow = Word("bow", ("bow", "bows"))
    assert bow.find('He said, "Bows!"') == "Bows"
    assert bow.find("rainbow bowl elbows bow_s") is None


def test_sentences_end_at_marks_and_not_at_abbreviations() -> None:
    text = """Mr. Stutely came. "Ho!" cried he, "who
goes there?" "I," quoth Robin. Then he (the friar) left...

A heading

St. Mary! What 3.5 miles? the rest"""
    assert list(sentences(text)) == [
        "Mr. Stutely came.",
        '"Ho!" cried he, "who goes there?"',
        '"I," quoth Robin.',
        "Then he (the friar) left...",
        "St. Mary!",
    ]


@given(st.text(alphabet="aB .!?\"'\n)", max_size=40))
def test_sentences_are_of_the_text_and_end_as_sentences(text: str) -> None:
    found = list(sentences(text))
    squeezed = " ".join(text.split())
    place = 0
    for sentence in found:
        assert closes(sentence)
        place = squeezed.index(sentence, place) + len(sentence)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"Ho!" cried he, "who goes there?"', True),
        ("He went", False),
        ("He met Mr.", False),
        ('He said, "Ho!', False),
        ('He said, " Ho!"', False),
        ("\N{LEFT DOUBLE QUOTATION MARK}Ho!", False),
        ("\N{LEFT DOUBLE QUOTATION MARK}Ho!\N{RIGHT DOUBLE QUOTATION MARK}", True),
    ],
)
def test_well_formed_sentences_end_and_close_their_quotations(text: str, expected: bool) -> None:
    assert well_formed(text) == expected


def test_unfamiliar_words_are_those_in_most_pieces() -> None:
    tokenizer = ByteTokenizer(ByteTokenizer.Config())
    found = unfamiliar(tokenizer, "Bow! The greenwood, greenwood; o'er Ye ye bow.")
    assert [(word.word, word.count, word.pieces) for word in found] == [
        ("greenwood", 2, 10),
        ("bow", 2, 4),
        ("The", 1, 4),
    ]


def test_a_paragraph_of_initials_takes_no_long_time() -> None:
    names = "Smith, J. Jones, K. Brown, L. " * 20_000
    [only] = sentences(f"{names} And so they went.")  # seconds at most: each end is looked at by itself
    assert only.endswith("And so they went.")
