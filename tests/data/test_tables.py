import json
from collections.abc import Callable
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmkit.data.rows import Unread, read_or_report, read_rows
from lmkit.data.settings import Data
from lmkit.data.tally import Tally
from lmkit.errors import DataError
from tests.data.conftest import Write, documents_of

ROWS = [{"text": 'One, "so".\r\nMore.', "label": "a"}, {"text": "Zwei süß\n\nDrei", "label": "b"}]
SKIP = 'or leave out what is bad with bad_input = "skip" in [data]'


def _csv(rows: list[dict[str, str]], delimiter: str) -> str:
    quoted = [[json.dumps(v, ensure_ascii=False).replace('\\"', '""') for v in row.values()] for row in rows]
    quoted = [[v.replace("\\n", "\n").replace("\\r", "\r") for v in row] for row in quoted]
    return "\r\n".join(delimiter.join(row) for row in [list(rows[0]), *quoted]) + "\r\n"


WRITERS: dict[str, Callable[[Write], Path]] = {
    "jsonl": lambda write: write("a.jsonl", "\n".join(map(json.dumps, ROWS))),
    "jsonl.gz": lambda write: write("a.jsonl.gz", "\n\n".join(map(json.dumps, ROWS)) + "\n"),
    "csv": lambda write: write("a.csv", "\ufeff" + _csv(ROWS, ",")),
    "csv.gz": lambda write: write("a.csv.gz", _csv(ROWS, ",")),
    "tsv": lambda write: write("a.tsv", _csv(ROWS, "\t")),
    "parquet": lambda write: _parquet(write, pa.Table.from_pylist(ROWS)),
    "datasets": lambda write: _dataset(write, ROWS),
}


def _parquet(write: Write, table: pa.Table) -> Path:
    path = write("a.parquet", "")
    pq.write_table(table, path)
    return path


def _dataset(write: Write, rows: list[dict[str, str]]) -> Path:
    path = write("mark", "").with_name("dataset")
    datasets.Dataset.from_list(rows).save_to_disk(path)
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_rows_come_back_as_they_were_written(write: Write, name: str) -> None:
    path = WRITERS[name](write)
    tally = Tally()
    rows = list(read_rows([path], Data(train=(path,)), tally))
    # A quoted line end of a CSV file is a line end of the file, and those are normalized.
    expected = [{k: v.replace("\r\n", "\n") for k, v in row.items()} for row in ROWS] if "sv" in name else ROWS
    assert rows == expected
    places = {"jsonl": [1, 2], "jsonl.gz": [1, 3], "csv": [2, 4], "csv.gz": [2, 4], "tsv": [2, 4]}
    assert [row.place for row in rows] == [f"{path}:{number}" for number in places.get(name, [1, 2])]
    assert (tally.files, tally.documents, tally.skipped) == (1, 2, {})


@pytest.mark.parametrize("name", WRITERS)
def test_a_row_is_a_document_unless_it_is_to_be_split(write: Write, name: str) -> None:
    path = WRITERS[name](write)
    assert documents_of(path) == ['One, "so".\nMore.', "Zwei süß\n\nDrei"]
    assert documents_of(path, document="paragraph") == ['One, "so".\nMore.', "Zwei süß", "Drei"]
    assert documents_of(path, document="line") == ['One, "so".', "More.", "Zwei süß", "Drei"]
    assert documents_of(path, column="label") == ["a", "b"]


@pytest.mark.parametrize("name", sorted(set(WRITERS) - {"jsonl", "jsonl.gz"}))
def test_a_table_without_the_column_is_refused(write: Write, name: str) -> None:
    path = WRITERS[name](write)
    with pytest.raises(DataError) as error:
        documents_of(path, column="body", bad_input="skip")
    assert str(error.value) == (
        f'{path}: no column "body" among text, label. Say which to read with column = ... in [data]'
    )


JSON_LINES = [
    ("{", "not a JSON object: Expecting property name enclosed in double quotes: line 2 column 1 (char 2)"),
    ('["text"]', 'not a JSON object: a list, where {"name": value, ...} is wanted'),
    ('{"text": "a", "text": "b"}', "not a JSON object: key 'text' is there twice"),
    ('{"text": "a", "x": NaN}', "not a JSON object: NaN is not JSON"),
    ('{"text": "a", "x": ' + "[" * 5000 + "]" * 5000 + "}", "JSON that is nested too deep"),
    ('{"text": "a\\ud800"}', "bytes that are not UTF-8, or half of a surrogate pair"),
    ('{"text": "a", "x": ["\\u0000"]}', "a NUL character, which no text has"),
    ('{"text": 3}', 'column "text" holds int 3, where text is wanted'),
    ('{"text": null}', 'column "text" holds nothing, where text is wanted'),
    ('{"body": "a"}', 'no column "text" among body. Say which to read with column = ... in [data]'),
    ('{"text": ""}', "an empty document, where text is wanted"),
    ('{"text": " \\n"}', "an empty document, where text is wanted"),
    ('{"text": "' + "x" * 70_000 + '"}', "the line is longer than 0.05 MB, the limit"),
]


@pytest.mark.parametrize(("line", "problem"), JSON_LINES)
def test_a_bad_json_line_is_told_by_its_number(write: Write, line: str, problem: str) -> None:
    path = write("a.jsonl", f'{{"text": "good"}}\n{line}\n{{"text": "better"}}\n')
    with pytest.raises(DataError) as error:
        documents_of(path, longest_line_mb=0.05)
    assert str(error.value).startswith(f"{path}:2: {problem}. ")
    assert str(error.value).endswith(SKIP)
    tally = Tally("skip")
    assert documents_of(path, bad_input="skip", longest_line_mb=0.05, tally=tally) == ["good", "better"]
    assert sum(tally.skipped.values()) == 1
    assert list(tally.first.values()) == [f"{path}:2: {problem}"]


@pytest.mark.parametrize("depth", [100, 800, 960, 990, 1000, 5000])
def test_a_deeply_nested_row_is_read_or_told(write: Write, depth: int) -> None:
    path = write("a.jsonl", '{"text": "good"}\n{"text": "deep", "x": ' + "[" * depth + "]" * depth + "}\n")
    tally = Tally("skip")
    documents = documents_of(path, bad_input="skip", tally=tally)
    assert documents == (["good"] if tally.skipped else ["good", "deep"])
    assert tally.skipped or depth < 1000


def test_bad_csv_rows_are_told_and_the_good_ones_kept(write: Write) -> None:
    content = b'text,label\ngood,1\n"two\nlines",2\nx\ny,1,2\n\n"b\xffd\nrow",1\nnu\x00l,1\nbetter,4\n"never closed,5\n'
    path = write("a.csv", content)
    tally = Tally("skip")
    rows = list(read_rows([path], Data(train=(path,), bad_input="skip"), tally))
    assert [row["text"] for row in rows] == ["good", "two\nlines", "better"]
    assert tally.skipped == {"bad CSV": 3, "bad text": 2}
    assert tally.first == {
        "bad CSV": f"{path}:5: 1 fields, where the header has 2",
        "bad text": f"{path}:8: bytes that are not UTF-8, or half of a surrogate pair",
    }
    with pytest.raises(DataError, match=r"a.csv:5: 1 fields, where the header has 2. Repair the row, or leave out"):
        list(read_rows([path], Data(train=(path,))))


def test_a_csv_record_that_lost_a_line_is_left_out(write: Write) -> None:
    path = write("a.csv", b'text,label\ngood,1\n"two\n' + b"x" * 2000 + b'\nlines",2\nbetter,4\n')
    tally = Tally("skip")
    data = Data(train=(path,), bad_input="skip", longest_line_mb=0.001)
    assert [row["text"] for row in read_rows([path], data, tally)] == ["good", "better"]
    assert tally.first["bad CSV"] == f"{path}:3: a line of this record was left out"


def test_after_a_field_without_an_end_nothing_is_taken_for_rows(write: Write) -> None:
    path = write("a.csv", 'text,label\n"' + ("x" * 99 + "\n") * 11 + 'injected,a\n",b\nreal,a\n')
    with pytest.raises(DataError, match=r"a.csv:2: not CSV: field larger than field limit"):
        list(read_rows([path], Data(train=(path,), bad_input="skip", longest_line_mb=0.001)))


def test_a_blank_line_before_the_header_is_passed_over(write: Write) -> None:
    path = write("a.csv", "\n\ntext,label\n\na,b\n")
    assert [dict(row) for row in read_rows([path], Data(train=(path,)))] == [{"text": "a", "label": "b"}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", ": empty, where a line with the columns' names is wanted"),
        ("a.csv", "text,text\n", ":1: column 'text' is there twice. Rename one"),
        ("a.csv", '"text"x,label\na,b\n', """:1: not CSV: ',' expected after '"'. Repair the row"""),
    ],
)
def test_a_csv_file_needs_a_header(write: Write, name: str, content: str, message: str) -> None:
    path = write(name, content)
    with pytest.raises(DataError) as error:
        documents_of(path, bad_input="skip")
    assert str(error.value) == f"{path}{message}"


def test_a_bad_row_of_parquet_does_not_cost_its_neighbours(write: Write) -> None:
    raw = [b"good", b"b\xffd", b"better", b"nu\0l", None]
    text = pa.array(raw, pa.binary()).view(pa.string())
    path = _parquet(write, pa.table({"text": text}))
    tally = Tally("skip")
    assert documents_of(path, bad_input="skip", tally=tally) == ["good", "better"]
    assert tally.skipped == {"bad text": 2, "value that is no text": 1}
    assert tally.first["bad text"] == f"{path}:2: bytes that are not UTF-8"


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt", "a.parquet"])
def test_what_is_bad_is_reported_in_its_place(write: Write, name: str) -> None:
    raw = [b"one", b"b\xffd", b"nu\0l", b"two", b"\xff"]
    match name:
        case "a.parquet":
            path = _parquet(write, pa.table({"text": pa.array(raw, pa.binary()).view(pa.string())}))
        case "a.jsonl":
            path = write(name, b"\n".join(b'{"text": "' + text + b'"}' for text in raw))
        case "a.csv":
            path = write(name, b"\n".join([b"text", *raw]))
        case _:
            path = write(name, b"\n".join(raw))
    read = list(read_or_report([path], Data(train=(path,), document="line")))
    places = [
        row.problem.partition(": ")[0].rpartition(":")[2] if isinstance(row, Unread) else row["text"] for row in read
    ]
    assert places == (["one", "3", "4", "two", "6"] if name == "a.csv" else ["one", "2", "3", "two", "5"])


def test_nothing_but_bad_rows_is_reported_until_they_are_too_many(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that memory is bounded, whatever file is named."""
    monkeypatch.setattr("lmkit.data.tally._MOST_IN_A_ROW", 4)
    path = write("a.jsonl", "{}\n" + "[]\n" * 3 + "{}\n" + "[]\n" * 4)
    with pytest.raises(DataError, match=r"a.jsonl:9: .*; so are 4 in a row: is the file of another format\?"):
        list(read_or_report([path], Data(train=(path,))))
    path.write_text("{}\n" + "[]\n" * 3)
    assert len(list(read_or_report([path], Data(train=(path,))))) == 4


def test_what_is_no_parquet_is_told(write: Write) -> None:
    path = write("a.parquet", "nonsense")
    with pytest.raises(DataError, match=rf"^{path}: cannot be read as parquet: "):
        documents_of(path)


def test_a_folder_of_splits_names_them(write: Write) -> None:
    path = write("mark", "").with_name("splits")
    rows = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(path)
    with pytest.raises(DataError) as error:
        documents_of(path)
    assert str(error.value) == f"{path}: a folder of the splits test, train. Name one, such as {path / 'test'}"
    assert len(documents_of(path / "test")) == 2


def test_text_gives_a_row_for_each_document(write: Write) -> None:
    path = write("a.txt", "One.\n\nTwo.\n")
    rows = list(read_rows([path], Data(train=(path,), document="paragraph")))
    assert rows == [{"text": "One."}, {"text": "Two."}]
