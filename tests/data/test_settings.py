from pathlib import Path
from typing import Any

import pytest

from lmkit import config
from lmkit.data.settings import Data, Source
from lmkit.errors import ConfigError


def read(data: dict[str, Any]) -> Data:
    return config.structure(Data, data, source="run.toml", path="data", folder=Path("/here"))


def test_a_table_of_toml_becomes_settings_and_back() -> None:
    data = read({"train": ["a/*.md", {"path": "b", "weight": 2}], "validation": {"news": ["c"], "prose": ["d", "/e"]}})
    assert data.sources == (Source(path="/here/a/*.md"), Source(path="/here/b", weight=2.0))
    assert data.validation_sets == {"news": (Path("/here/c"),), "prose": (Path("/here/d"), Path("/e"))}
    assert data.held_out == 0
    assert read(config.unstructure(data)) == data


def test_validation_is_paths_sets_or_a_share() -> None:
    assert read({"train": ["a"], "validation": ["b"]}).validation_sets == {"validation": (Path("/here/b"),)}
    assert read({"train": ["a"]}).validation_sets == {}
    share = read({"train": ["a"], "validation": 0.01})
    assert share.held_out == 0.01
    assert share.validation_sets == {}


def test_python_may_say_paths_as_str() -> None:
    assert Data(train=["a"], validation=["b"]) == Data(train=(Path("a"),), validation=(Path("b"),))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"train": []}, "data: train: expected at least one path to learn from, got none"),
        ({"train": [3]}, "data.train[0]: expected path or table, got int 3"),
        (
            {"train": ["$NO_SUCH_PLACE/a"]},
            "data.train[0]: environment variable NO_SUCH_PLACE is not set, in '$NO_SUCH_PLACE/a'",
        ),
        ({"train": [{"path": "a", "wieght": 2}]}, 'data.train[0].wieght: unknown key. Did you mean "weight"?'),
        (
            {"train": ["a"], "validation": 2},
            "data: validation: expected paths, or a share from 0.000001 to 0.999999, got 2.0",
        ),
        (
            {"train": ["a"], "document": "page"},
            'data.document: expected "file", "paragraph" or "line", got str \'page\'',
        ),
        (
            {"train": ["a"], "format": "xml"},
            'data.format: expected "text", "jsonl", "json", "csv", "tsv", "parquet" or "conll", got str \'xml\'',
        ),
    ],
)
def test_what_is_wrong_is_told(data: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(data)
    assert error.value.problems == (problem,)
