from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkit.errors import DataError
from lmkit.parts.rows import WAITING, answer, has_value, text_of


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({}, 'no column "text"; the row has nothing'),
        ({"sentence": "a", "label": 1}, 'no column "text"; the row has "sentence", "label"'),
        ({"text": 12}, 'column "text": wanted text, got int 12'),
        ({"text": None}, 'column "text": wanted text, got NoneType None'),
        ({"text": ["a"] * 99}, "column \"text\": wanted text, got list ['a', 'a', 'a', 'a', 'a', 'a', 'a', '..."),
        ({"text": "a\ud83d"}, 'column "text": character 2 is a lone surrogate (U+D83D), no valid Unicode'),
    ],
)
def test_a_row_without_text_is_refused_by_name(row: Mapping[str, Any], sentence: str) -> None:
    with pytest.raises(DataError) as raised:
        text_of(row, "text")
    assert str(raised.value) == sentence


def test_text_is_given_as_it_is() -> None:
    assert text_of({"text": " 😀\x00 "}, "text") == " 😀\x00 "


def lengths(rows: Sequence[str], batch_tokens: int) -> tuple[list[Any], list[list[str]]]:
    batches: list[list[str]] = []

    def answers(texts: Sequence[str]) -> Iterator[int]:
        batches.append(list(texts))
        return map(len, texts)

    def read(number: int, row: Mapping[str, Any]) -> str:
        text = text_of(row, "text")
        if "!" in text:
            raise DataError(f"row {number} shouts")
        return text

    given = ({"text": row} for row in rows)
    return list(answer(given, read, len, answers, batch_tokens=batch_tokens)), batches


def test_batches_have_room_for_their_longest_row_times_their_rows() -> None:
    answers, batches = lengths(["aa", "a", "a", "aaaa", "aaaaaaaaa", "a"], 6)
    assert answers == [2, 1, 1, 4, 9, 1]
    assert batches == [["aa", "a", "a"], ["aaaa"], ["aaaaaaaaa"], ["a"]]


def test_errors_stand_in_their_rows_places() -> None:
    answers, batches = lengths(["!", "aa", "!!", "a", "!"], 100)
    assert answers == [{"error": "row 0 shouts"}, 2, {"error": "row 2 shouts"}, 1, {"error": "row 4 shouts"}]
    assert batches == [["aa", "a"]]


@given(st.lists(st.text("a!", max_size=5), max_size=12), st.integers(1, 20))
def test_answers_do_not_depend_on_the_size_of_a_batch(rows: list[str], batch_tokens: int) -> None:
    assert lengths(rows, batch_tokens)[0] == lengths(rows, 1)[0]
    assert len(lengths(rows, batch_tokens)[0]) == len(rows)


def test_rows_are_answered_while_they_come() -> None:
    read = 0

    def endless() -> Iterator[Mapping[str, str]]:
        nonlocal read
        while True:
            read += 1
            yield {"text": "a" if read % 2 else "!"}

    def shout(number: int, row: Mapping[str, Any]) -> str:
        if row["text"] == "!":
            raise DataError("no")
        return str(row["text"])

    answers = answer(endless(), shout, len, lambda texts: texts, batch_tokens=10)
    assert [next(answers) for _ in range(4)] == ["a", {"error": "no"}, "a", {"error": "no"}]
    assert read <= 22
    errors = answer(({"text": "!"} for _ in range(10 * WAITING)), shout, len, lambda texts: texts, batch_tokens=10)
    assert sum(1 for _ in errors) == 10 * WAITING


def test_a_value_is_there_unless_it_is_null_or_an_empty_text() -> None:
    row = {"null": None, "empty": "", "zero": 0, "no": False, "none": [], "some": np.zeros(2)}
    assert [name for name in (*row, "absent") if has_value(row, name)] == ["zero", "no", "none", "some"]
