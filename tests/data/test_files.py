from pathlib import Path

import pytest

from lmkit.data.files import File, find
from lmkit.errors import DataError
from tests.data.conftest import Write


def test_folders_and_patterns_are_sorted_and_the_suffix_says_the_format(write: Write) -> None:
    names = ["b.txt", "a/z.jsonl", "a/b/c.csv.gz", "d.tsv", "e.parquet", ".hidden", "a/.git/config", "z.jsonl.gz"]
    for name in names:
        write(name, "x")
    folder = write("b.txt", "x").parent
    expected = [
        File(folder / "a/b/c.csv.gz", "csv"),
        File(folder / "a/z.jsonl", "jsonl"),
        File(folder / "b.txt", "text"),
        File(folder / "d.tsv", "tsv"),
        File(folder / "e.parquet", "parquet"),
        File(folder / "z.jsonl.gz", "jsonl"),
    ]
    assert list(find([folder])) == expected
    assert list(find([folder / "**" / "*"])) == expected
    assert list(find([folder / "*"])) == expected[2:]
    assert list(find([folder / "d.tsv", folder / "b.txt"])) == [expected[3], expected[2]]


def test_a_name_that_looks_like_a_pattern_is_read_as_it_is(write: Write) -> None:
    path = write("draft [1].txt", "x")
    assert find([path]) == (File(path, "text"),)


def test_identity_is_of_content_and_format_but_not_of_the_path(write: Write) -> None:
    def identity(name: str, content: str) -> str:
        return find([write(name, content)])[0].identity()

    assert identity("a.txt", "x") == identity("b.md", "x")
    assert len({identity("a.txt", "x"), identity("a.txt", "y"), identity("a.jsonl", "x"), identity("a.gz", "x")}) == 4


def test_what_the_suffix_does_not_say_is_said_otherwise(write: Write) -> None:
    names = ("a.conll.txt", "b.jsonl", "c.gz", "d.bio", "e")
    files = find([write(name, "x") for name in names], "conll")
    assert [file.format for file in files] == ["conll", "jsonl", "conll", "conll", "conll"]
    assert files[0].identity() != find([files[0].path])[0].identity()
    with pytest.raises(DataError, match=r"c.gz: a gzipped parquet file"):
        find([files[2].path], "parquet")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.txt", "no such file or folder. Correct the path"),
        ("none/*.txt", "a pattern that matches no file. Correct the path"),
        ("empty", "a folder that holds no file. Correct the path"),
        ("a.parquet.gz", "a gzipped parquet file, which cannot be read in parts. Unpack it with gunzip"),
    ],
)
def test_paths_that_name_nothing_to_read_are_told(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.parquet.gz").touch()
    with pytest.raises(DataError) as error:
        find([tmp_path / name])
    assert str(error.value) == f"{tmp_path / name}: {message}"
