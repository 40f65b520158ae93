import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lmkit.data.rows import Unread, read_or_report, read_rows
from lmkit.data.settings import Data
from lmkit.data.tables import Row
from lmkit.errors import DataError
from tests.data.conftest import Write

ANSWER = {"text": "fox", "answer_start": 4}
SQUAD: dict[str, Any] = {
    "version": {"number": 2, "names": [["a"], {}]},
    "data": [
        {
            "title": "Foxes",
            "source": {"by": ["x"]},
            "paragraphs": [
                {
                    "qas": [
                        {"id": "q1", "question": "Who?", "answers": [ANSWER], "is_impossible": False},
                        {
                            "id": "q2",
                            "question": "Why?",
                            "is_impossible": True,
                            "answers": [],
                            "plausible_answers": [ANSWER],
                        },
                    ],
                    "context": "The fox.",
                },
                {"context": "None.", "qas": []},
            ],
        },
        {"paragraphs": [{"context": "A süß cat.", "qas": [{"question": "What?"}]}]},
    ],
}


def rows_of(path: Path, **settings: Any) -> list[Row]:
    return list(read_rows([path], Data(train=(path,), **settings)))


def told(path: Path) -> list[Any]:
    """A row, or what stands in its place."""
    return [row.problem if isinstance(row, Unread) else row for row in read_or_report([path], Data(train=(path,)))]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_question_of_squad_is_a_row(write: Write, name: str, mark: str) -> None:
    path = write(name, mark + json.dumps(SQUAD))
    rows = rows_of(path)
    assert rows == [
        {"title": "Foxes", "context": "The fox.", "id": "q1", "question": "Who?", "answers": [ANSWER]},
        {"title": "Foxes", "context": "The fox.", "id": "q2", "question": "Why?", "answers": []},
        {"context": "A süß cat.", "question": "What?"},
    ]
    assert [row.place for row in rows] == [
        f"{path}: question q1",
        f"{path}: question q2",
        f"{path}: article 2, paragraph 1, question 1",
    ]


def test_an_object_of_a_list_is_a_row(write: Write) -> None:
    made = [{"text": "a", "score": 0.5, "n": 3}, {"text": "b 😀", "deep": {"x": [1, [None, True]], "y": {}}}, {}]
    path = write("a.json", json.dumps(made, indent=2))
    rows = rows_of(path)
    assert rows == made
    assert [type(value) for value in rows[0].values()] == [str, float, int]
    assert [row.place for row in rows] == [f"{path}: item {number}" for number in (1, 2, 3)]
    assert rows_of(write("a.txt", json.dumps(made)), format="json") == made
    assert rows_of(write("b.json", "[]")) == rows_of(write("c.json", '{"data": []}')) == []


ITEMS = [
    ("7", "item 2: not a JSON object: a int, where {"),
    ("[{}]", "item 2: not a JSON object: a list, where {"),
    ('{"x": 1, "x": 2}', "item 2: not a JSON object: key 'x' is there twice"),
    ('{"x": {"y": 1, "y": 2}}', "item 2: not a JSON object: key 'y' is there twice"),
    ('{"x": ["a\\u0000"]}', "item 2: a NUL character, which no text has"),
    ('{"x": ' + "[" * 200_000 + "]" * 200_000 + "}", "item 2: values that are nested too deep"),
]


@pytest.mark.parametrize(("item", "problem"), ITEMS)
def test_a_bad_item_is_told_and_its_neighbours_are_read(write: Write, item: str, problem: str) -> None:
    path = write("a.json", f'[{{"x": 0}}, {item}, {{"x": 1}}]')
    before, what, after = told(path)
    assert (before, after) == ({"x": 0}, {"x": 1})
    assert what.startswith(f"{path}: {problem}")
    with pytest.raises(DataError, match=f"a.json: {problem[:20]}"):
        rows_of(path)


BROKEN = [
    '[{"x": 0}, {"x": NaN}, {"x": 1}]',
    '[{"x": 0}, {"x": 1e999}]',
    '[{"x": 0}, {"x": ',
    '[{"x": 0}]]',
    b'[{"x": 0}, {"x": "\xff"}]',
    '[{"x": 0}, {"x": "\\udc00"}, {"x": 1}]',
]


@pytest.mark.parametrize("content", BROKEN)
def test_what_is_behind_a_mistake_is_told_to_be_lost(write: Write, content: str | bytes) -> None:
    path = write("a.json", content)
    row, what = told(path)
    assert row == {"x": 0}
    assert what.startswith(f"{path}: not JSON behind row 1, what follows cannot be read: ")
    assert "\n" not in what
    assert rows_of(path, bad_input="skip") == [{"x": 0}]


def test_a_gzip_file_that_is_cut_off(write: Write) -> None:
    path = write("a.json.gz", json.dumps([{"x": number} for number in range(100)]))
    path.write_bytes(path.read_bytes()[:-30])
    assert "the gzip file is damaged or cut off behind row" in told(path)[-1]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"data": [7]}, "article 1: no object, where"),
        ({"data": [{"title": "x"}]}, 'article 1: it has no list "paragraphs"'),
        ({"data": [{"paragraphs": [7]}]}, "article 1, paragraph 1: not a paragraph: a int, where"),
        ({"data": [{"paragraphs": [{"context": "x"}]}]}, 'article 1, paragraph 1: not a paragraph: "qas" is no list'),
        ({"data": [{"paragraphs": [{"qas": ["x"]}]}]}, 'article 1, paragraph 1: not a paragraph: "qas" is no list'),
    ],
)
def test_what_is_not_of_squads_form_is_told(write: Write, change: dict[str, Any], problem: str) -> None:
    path = write("a.json", json.dumps({"data": [*change["data"], SQUAD["data"][1]]}))
    what, row = told(path)
    assert what.startswith(f"{path}: {problem}")
    assert row == {"context": "A süß cat.", "question": "What?"}


@pytest.mark.parametrize(
    ("content", "message"),
    [("7", "one value"), ('{"rows": []}', 'an object without a list "data"'), ('{"data": {}}', "an object without")],
)
def test_json_of_another_form_is_refused(write: Write, content: str, message: str) -> None:
    with pytest.raises(DataError, match=f"a.json: {message}.*, where a list of objects or"):
        rows_of(write("a.json", content), bad_input="skip")


READ = """
import resource, sys
from pathlib import Path
from lmkit.data.rows import read_rows
from lmkit.data.settings import Data
settings = Data(train=[sys.argv[1]], bad_input="skip")
rows = read_rows([Path(sys.argv[1])], settings)
next(rows)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(1 for _ in rows)
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("form", ["list", "squad", "one article"])
def test_rows_of_many_megabytes_do_not_fill_the_memory(write: Write, form: str) -> None:
    path = write("a.json", "")
    paragraph = json.dumps({"context": "x" * 1000, "qas": [{"id": "a", "question": "b", "answers": []}]})
    article = f'{{"title": "t", "paragraphs": [{paragraph}]}}'
    begin, part, end = {
        "list": ("[", paragraph, "]"),
        "squad": ('{"data": [', article, "]}"),
        "one article": ('{"data": [{"title": "t", "paragraphs": [', paragraph, "]}]}"),
    }[form]
    with path.open("w") as file:
        file.write(begin)
        for _ in range(40):
            file.write(",".join([part] * 1000) + ",")
        file.write(part + end)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    count, megabytes = map(int, done.stdout.split())
    assert count == 40_000
    assert megabytes < 15
