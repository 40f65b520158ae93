import gzip
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkit.data.rows import Unread, read_or_report, read_rows
from lmkit.data.settings import Data
from lmkit.data.tables import Row
from lmkit.data.tally import Tally
from lmkit.errors import DataError
from tests.data.conftest import Write


def rows_of(path: Path, **settings: Any) -> list[Row]:
    return list(read_rows([path], Data(train=(path,), **settings)))


def told(path: Path) -> list[str]:
    """A row's words, or what stands in its place."""
    read = read_or_report([path], Data(train=(path,)))
    return [row.problem if isinstance(row, Unread) else " ".join(row["tokens"]) for row in read]


def test_the_first_column_is_the_word_and_the_last_the_tag(write: Write) -> None:
    path = write(
        "a.conll",
        "\ufeff-DOCSTART- -X- O O\r\n\r\nEU NNP I-NP B-ORG\r\nrejects  VBZ\tI-VP   O\r\n \t\r\n-DOCSTART- O\r\n"
        "A\u00a0b NN I-NP O\r\n\t\r\n\r\nlast NN I-NP O",
    )
    rows = rows_of(path)
    assert rows == [
        {"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"]},
        {"tokens": ["A\u00a0b"], "tags": ["O"]},
        {"tokens": ["last"], "tags": ["O"]},
    ]
    assert [row.place for row in rows] == [f"{path}:{line}" for line in (3, 7, 10)]


@pytest.mark.parametrize("name", ["a.conll", "a.bio", "a.iob", "a.iob2", "a.conll.gz"])
def test_the_suffixes_that_say_it(write: Write, name: str) -> None:
    assert rows_of(write(name, "a O\nb B-X\n")) == [{"tokens": ["a", "b"], "tags": ["O", "B-X"]}]


def test_the_settings_say_it_of_a_suffix_that_does_not(write: Write) -> None:
    text, table = write("a.conll.txt", "a O\n\nb O\n"), write("b.jsonl", '{"x": 1}\n')
    assert rows_of(text) == [{"text": "a O\n\nb O\n"}]
    assert rows_of(text, format="conll") == [{"tokens": ["a"], "tags": ["O"]}, {"tokens": ["b"], "tags": ["O"]}]
    assert rows_of(table, format="conll") == [{"x": 1}]


def test_one_column_has_no_tags(write: Write) -> None:
    assert rows_of(write("a.conll", "a\nb\n\nc\n")) == [{"tokens": ["a", "b"]}, {"tokens": ["c"]}]


BAD = b"a O\nb O\n\nc O\nd\ne O\nf\n\ng\tX\tO\n\nh O\n\ni O\nj\xff O\n\nk O\nl\0 O\n\nm O\n"


def test_a_sentence_with_a_bad_line_is_left_out_whole_and_told_once(write: Write) -> None:
    path = write("a.conll", BAD)
    tally = Tally("skip")
    rows = list(read_rows([path], Data(train=(path,)), tally))
    assert [row["tokens"] for row in rows] == [["a", "b"], ["h"], ["m"]]
    assert tally.skipped == {"bad CoNLL": 2, "bad text": 2}
    assert told(path) == [
        "a b",
        f"{path}:5: 1 columns, where the file's first line has 2",
        f"{path}:9: 3 columns, where the file's first line has 2",
        "h",
        f"{path}:13: bytes that are not UTF-8, or half of a surrogate pair",
        f"{path}:16: a NUL character, which no text has",
        "m",
    ]
    with pytest.raises(
        DataError, match=r"a.conll:5: 1 columns, where the file's first line has 2. Repair the line, or"
    ):
        rows_of(path)


def test_a_line_too_long_takes_its_sentence_with_it(write: Write) -> None:
    path = write("a.conll", "a O\n\nb O\n" + "x" * 2000 + " O\nc O\n\nd O\n")
    rows = rows_of(path, bad_input="skip", longest_line_mb=0.001)
    assert [row["tokens"] for row in rows] == [["a"], ["d"]]


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0 \t\r\n"), min_size=1, max_size=8)
# What begins a document is no word, nor is a lone sign of white space, such as a no-break space, in a column alone.
WORD = WORDS.filter(lambda word: word != "-DOCSTART-" and not word.isspace() and not word.startswith("\ufeff"))
TAGS = st.sampled_from(["O", "B-PER", "I-PER", "S-ORG"])


@given(
    sentences=st.lists(st.lists(st.tuples(WORD, TAGS), min_size=1, max_size=5), max_size=6),
    gap=st.sampled_from(["\n", "\t\n", " \n\n"]),
    between=st.sampled_from(["\t", " ", " NN  -\t"]),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, sentences: list[list[tuple[str, str]]], gap: str, between: str
) -> None:
    path = tmp_path_factory.mktemp("conll") / "a.conll"
    lines = ["".join(f"{word}{between}{tag}\n" for word, tag in sentence) for sentence in sentences]
    path.write_bytes(gap.join(lines).encode())
    expected = [{"tokens": [w for w, _ in s], "tags": [t for _, t in s]} for s in sentences]
    assert rows_of(path) == expected


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "sentences", "words"),
    [
        ("ner_wnut17/wnut17train.conll", 3394, 62730),
        ("ner_wnut17/emerging.dev.conll", 1009, 15733),
        ("ner_wikigold/wikigold.conll.txt", 1696, 39007),
    ],
)
def test_the_corpora_have_as_many_sentences_and_words_as_is_known(
    data_folder: Path, name: str, sentences: int, words: int
) -> None:
    rows = rows_of(data_folder / name, format="conll")
    assert (len(rows), sum(len(row["tokens"]) for row in rows)) == (sentences, words)


def test_a_sentence_in_which_a_gzip_file_is_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.conll.gz"
    lines = [f"{random.Random(n).getrandbits(64):x} O" for n in range(4000)]  # does not compress, so it ends mid-way
    whole = gzip.compress("\n".join(["A O", "B O", "", *lines]).encode())
    path.write_bytes(whole[: len(whole) // 2])
    tally = Tally("skip")
    rows = list(read_rows([path], Data(train=[str(path)]), tally))
    assert [row["tokens"] for row in rows] == [["A", "B"]]
    assert list(tally.skipped) == ["damaged gzip"]
