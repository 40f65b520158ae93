"""Files and assignments: what cannot be read is told with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmkit import config
from lmkit.errors import ConfigError


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_bytes(b"\xef\xbb\xbfseed = 1\n[encoder]\nuse = 'bert'\n")
    assert config.read(file) == {"seed": 1, "encoder": {"use": "bert"}}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"seed = 1\nlayers = = 2\n", "line 2, column 10: Invalid value"),
        (b"a = 1\na = 2\n", "line 2, column 6: Cannot overwrite a value"),
        (b"a = [1,", "end of document: Invalid value"),
        (b"a = '\xff'", "not UTF-8: byte 0xff at 5"),
        (b"a = " + b"[" * 40 + b"]" * 40, "nested deeper than 32 levels"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "nested deeper than 32 levels"),
        (b"a = " + b"1" * 5000, "Exceeds the limit (4300 digits) for integer string conversion"),
        (b"#" * 1_000_001, "larger than 1 MB, which no config is"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "run.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        config.read(file)
    assert str(caught.value) == f"{file}: 1 problem\n  {problem}"


def test_a_file_that_is_absent_or_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config.read(tmp_path / "run.toml")
    assert str(caught.value) == f"{tmp_path}/run.toml: 1 problem\n  no such file"
    with pytest.raises(ConfigError) as caught:
        config.read(tmp_path)
    assert str(caught.value) == f"{tmp_path}: 1 problem\n  cannot be read: Is a directory"


def test_assignments_go_over_a_file() -> None:
    data: dict[str, Any] = {"seed": 1, "encoder": {"layers": 4, "warm": {"share": 0.1}}}
    changed = config.override(
        data,
        [
            "encoder.layers=6",
            "encoder.warm.share = 0.2",
            "train.tokens=10M",
            "data.train=books/*.md",
            "data.names=['a', 'b']",
            'data.column="1"',
            "data.day=2024-01-01",
            "data.empty=",
            "data.sly=1\nseed = 2",
        ],
    )
    assert changed == {
        "seed": 1,
        "encoder": {"layers": 6, "warm": {"share": 0.2}},
        "train": {"tokens": "10M"},
        "data": {
            "train": "books/*.md",
            "names": ["a", "b"],
            "column": "1",
            "day": "2024-01-01",
            "empty": "",
            "sly": "1\nseed = 2",
        },
    }
    assert data == {"seed": 1, "encoder": {"layers": 4, "warm": {"share": 0.1}}}


def test_assignments_that_are_none_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        config.override({"seed": 1}, ["layers", "=3", "seed.x=2", "a..b=1"])
    assert str(caught.value) == (
        "--set: 4 problems\n"
        "  expected key=value, such as encoder.layers=6, got 'layers'\n"
        "  expected key=value, such as encoder.layers=6, got '=3'\n"
        "  seed.x: seed is not a table but int 1\n"
        "  expected key=value, such as encoder.layers=6, got 'a..b=1'"
    )
