"""Windows cover a context, share what they are to share, and hold a gold answer where it lies."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lmkit_finetune.contexts import Asked, Gold, context_windows, gold_of, tokens_of, with_answer
from lmkit_finetune.squad import exact_match, f1, normalized

from lmkit.errors import DataError
from lmkit.interfaces import Encoding
from lmkit.testing.reference import ByteTokenizer

BYTES = ByteTokenizer.train(ByteTokenizer.Config(), ())


def asked(question: str, context: str) -> Asked:
    return Asked(BYTES.encode(question).ids, context, BYTES.encode(context))


@given(st.integers(1, 30), st.integers(1, 200), st.integers(16, 60), st.integers(0, 40))
def test_windows_cover_the_context(question: int, length: int, longest: int, stride: int) -> None:
    one = asked("q" * question, "".join(chr(33 + n % 90) for n in range(length)))
    windows = list(context_windows(BYTES, one, longest, stride))
    room = longest - 3 - min(question, (longest - 3) // 2)
    covered = 0
    for number, window in enumerate(windows):
        passage, tokens = window.passage, window.example.tokens
        size = passage.stop - passage.first
        assert len(tokens) <= longest
        assert (tokens[passage.first : passage.stop] == one.encoding.ids[window.begin : window.begin + size]).all()
        assert window.begin == 0 if not number else window.begin == covered - min(stride, room // 2)
        assert size == room or number == len(windows) - 1
        covered = window.begin + size
    assert covered == length


def test_an_answer_is_a_target_where_it_lies_whole() -> None:
    context = "x" * 40 + "<here>" + "y" * 40
    one = asked("q?", context)
    spans = [tokens_of(Gold("<here>", 40), one, "answers")]
    with_it = 0
    for window in context_windows(BYTES, one, 37, 16):
        example = with_answer(window, spans)
        inside = window.begin <= 40 and window.begin + 32 >= 46
        assert (example.target.answer is not None) == inside
        if example.target.answer:
            with_it += 1
            first, last = example.target.answer
            assert BYTES.decode(example.tokens[first : last + 1]) == "<here>"
    assert with_it == 2
    assert with_answer(window, []).target.answer is None


def test_the_first_gold_answer_that_a_window_holds_is_its_target() -> None:
    one = asked("q?", "aa bb cc")
    [window] = context_windows(BYTES, one, 64, 0)
    spans = [tokens_of(Gold(text, start), one, "answers") for text, start in (("bb", 3), ("cc", 6))]
    first, _ = with_answer(window, spans).target.answer
    assert first == window.passage.first + 3


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), st.data())
def test_an_answers_tokens_are_those_of_its_characters(context: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(context) - 1))
    end = data.draw(st.integers(start + 1, len(context)))
    one = asked("q?", context)
    first, last = tokens_of(Gold(context[start:end], start), one, "answers")
    assert BYTES.decode(one.encoding.ids[first : last + 1]) == context[start:end]


def test_tokens_that_bring_a_space_along_and_lost_characters() -> None:
    """As byte pairs and WordPiece have them: " b" is one token, and the control character has none."""
    encoding = Encoding(ids=np.arange(3), offsets=np.array([[0, 1], [1, 3], [4, 5]]))
    one = Asked(np.arange(1), "a b\x07c", encoding)
    assert tokens_of(Gold("b", 2), one, "answers") == (1, 1)
    assert tokens_of(Gold("a b", 0), one, "answers") == (0, 1)
    assert tokens_of(Gold("b\x07c", 2), one, "answers") == (1, 2)
    with pytest.raises(DataError, match="has no token"):
        tokens_of(Gold("\x07", 3), one, "answers")


def test_both_forms_of_answers_are_the_same() -> None:
    nested = {"answers": [{"text": "a", "answer_start": 0}, {"text": "b", "answer_start": 2}]}
    columns = {"answers": {"text": ["a", "b"], "answer_start": [0, 2]}}
    none: list[dict[str, Any]] = [{"answers": []}, {"answers": {"text": [], "answer_start": []}}]
    for row in (nested, columns):
        assert gold_of(row, "answers", "a b") == [Gold("a", 0), Gold("b", 2)]
    assert [gold_of(row, "answers", "a b") for row in none] == [[], []]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The  Cat's\n hat.", "cats hat"),
        ("an apple a day", "apple day"),
        ("A", ""),
        ("theatre, Anna", "theatre anna"),
        ("U.S.", "us"),
        ("“quoted”", "“quoted”"),
    ],
)
def test_answers_are_normalized_as_squad_has_it(text: str, wanted: str) -> None:
    assert normalized(text) == wanted


def test_exact_match_and_f1_take_the_best_gold_answer() -> None:
    assert exact_match("The Cat", ["dog", "cat!"]) == 1
    assert exact_match("cats", ["cat"]) == 0
    assert f1("big red cat", ["a dog", "red cat", "cat"]) == pytest.approx(0.8)
    assert f1("cat cat", ["cat"]) == pytest.approx(2 / 3)
    assert [exact_match("", []), f1("", []), exact_match("cat", []), f1("cat", [])] == [1, 1, 0, 0]
    assert f1("the", ["cat"]) == 0
