"""Checkpoints that somebody made: nothing outside the folder is read, nothing runs, nothing large is parsed."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmkit.checkpoint import open_checkpoint
from lmkit.checkpoint.manifest import File, Manifest, Record, as_json, is_plain, open_plain, parse_json
from lmkit.errors import CheckpointError, IntegrityError

Write = Callable[..., Path]
Reseal = Callable[..., None]

ESCAPES = [
    "../x",
    "/etc/hostname",
    "a/../../x",
    "a/b/c",
    "..",
    ".",
    "",
    "a/",
    "a//b",
    "a/..",
    ".hidden",
    "-rf",
    "a\0b",
    "a\nb",
    "a\\b",
    "~root",
    "C:x",
    "a b",
    "mod\u0435l",
    "x" * 129,
]


@pytest.mark.parametrize("name", ESCAPES, ids=repr)
def test_a_name_in_a_manifest_leads_nowhere_else(write: Write, reseal: Reseal, name: str) -> None:
    path = write(1)
    reseal(path, files={name: File(0, "0" * 64)})
    with pytest.raises(IntegrityError) as caught:
        open_checkpoint(path)
    assert str(caught.value) == f"{path}/manifest.json names {name!r}: expected a plain file name, or folder/name"


def test_what_became_a_link_or_a_pipe_after_it_was_listed_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    with open_plain(tmp_path / "file") as file:
        assert file.read() == b"text"
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        open_plain(tmp_path / "link")
    with pytest.raises(OSError, match=r"pipe is not a file$"):
        open_plain(tmp_path / "pipe")


def test_plain_names_are_plain() -> None:
    assert all(map(is_plain, ["model.safetensors", "tokenizer/vocab.txt", "a_b-c.1", "x" * 128]))


def test_a_newer_format_is_told_before_anything_else_of_it_is_read(write: Write) -> None:
    path = write(1)
    (path / "manifest.json").write_text(json.dumps({"format": 2, "parts": []}))
    with pytest.raises(IntegrityError) as caught:
        open_checkpoint(path)
    assert str(caught.value) == (
        f"{path}: written by a newer lmkit, in format 2; this one reads up to 1: upgrade lmkit"
    )


def test_a_manifest_of_another_shape_is_told(write: Write) -> None:
    path = write(1)
    manifest = json.loads((path / "manifest.json").read_bytes())
    manifest["files"]["state.json"]["size"] = "many"
    manifest["switch"] = True
    del manifest["step"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(IntegrityError) as caught:
        open_checkpoint(path)
    assert str(caught.value).splitlines() == [
        f"{path}/manifest.json: 3 problems",
        "  files.state.json.size: expected int, got str 'many'",
        "  switch: unknown key. Known: format, step, components, files",
        "  step: required, int",
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["format", "step", "components", "files", "sha256", "more"])


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(FIELDS, JSON) | st.dictionaries(FIELDS, st.just(1) | st.just([]) | st.just({})))
def test_a_manifest_of_any_shape_is_refused_and_breaks_nothing(value: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        Manifest.from_bytes(as_json(value), Path("here"))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**9), st.dictionaries(st.text(max_size=8), JSON), st.text(max_size=8))
def test_a_manifest_is_read_back_as_it_was(step: int, config: dict[str, Any], name: str) -> None:
    record = Record(kind="encoder", name=name, distribution=name, version="1", state_version=1, config=config)
    manifest = Manifest(step=step, components=(record,), files={"state.json": File(step, name)})
    data = manifest.to_bytes()
    assert Manifest.from_bytes(data, Path("here")) == manifest
    assert Manifest.from_bytes(data, Path("here")).to_bytes() == data


@pytest.mark.parametrize("depth", [200, 400, 900])
def test_a_deeply_nested_config_in_a_manifest_is_refused(write: Write, depth: int) -> None:
    path = write(1)
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(
        text.replace('"layers": 2', '"layers": ' + '{"a": ' * depth + "2" + "}" * depth)
    )
    with pytest.raises(IntegrityError, match=r"manifest\.json is damaged: "):
        open_checkpoint(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": NaN}', "NaN is not a finite number"),
        ('{"a": -Infinity}', "-Infinity is not a finite number"),
        ('{"a": 1e999}', "1e999 is not a finite number"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ('{"a": {"b": 1, "c": 2, "b": 1}}', "'b' is there twice"),
        ("[" * 100_000, "maximum recursion depth exceeded while decoding a JSON array from a unicode string"),
        ("9" * 5000, "Exceeds the limit (4300 digits) for integer string conversion"),
        ('{"a": "\u00e9"}', "'ascii' codec can't decode byte 0xc3 in position 7: ordinal not in range(128)"),
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ("\x80\x04\x95", "'ascii' codec can't decode byte 0xc2 in position 0: ordinal not in range(128)"),
    ],
    ids=lambda value: value[:20],
)
def test_json_that_is_none_is_refused(text: str, why: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        parse_json(text.encode(), Path("state.json"))
    assert str(caught.value).startswith(f"state.json is damaged: it cannot be read as JSON ({why}")


def test_json_that_is_no_object_is_refused() -> None:
    with pytest.raises(IntegrityError, match=r"^state.json is damaged: expected a JSON object, got list$"):
        parse_json(b"[]", Path("state.json"))


@pytest.mark.parametrize(("name", "most"), [("manifest.json", 10_000_000), ("state.json", 64_000_000)])
def test_files_that_are_parsed_have_a_largest_size(
    write: Write, reseal: Reseal, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    path = write(1)
    with (path / name).open("r+b") as file:
        file.truncate(most + 1)  # a hole: nothing is on disk
    if name == "state.json":
        reseal(path)
    monkeypatch.setattr(
        json, "loads", lambda *a, **k: pytest.fail("parsed") if len(a[0]) > most else json.JSONDecoder().decode(a[0])
    )
    with pytest.raises(IntegrityError) as caught:
        open_checkpoint(path)
    assert str(caught.value) == f"{path}/{name} has more than {most:,} bytes, the most that is read of it"


HEADER = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def tensors(header: Any, data: bytes = b"\0" * 8) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x05posix\x94.",
        b"PK\x03\x04" + b"\0" * 60,
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 100_000_001) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 4) + b"\xff\xff\xff\xff",
        tensors(HEADER, b"\0" * 4),
        tensors(HEADER, b"\0" * 12),
        tensors({"w": HEADER["w"] | {"shape": [2**60]}}),
        tensors({"w": HEADER["w"] | {"shape": [2**40, 2**40]}}),
        tensors({"w": HEADER["w"] | {"shape": [-2]}}),
        tensors({"w": HEADER["w"] | {"dtype": "OBJECT"}}),
        tensors({"w": HEADER["w"] | {"data_offsets": [4, 12]}}),
        tensors(HEADER | {"v": HEADER["w"]}),
    ],
    ids=range(15),
)
def test_tensors_that_are_none_are_refused_though_their_hash_is_right(
    write: Write, reseal: Reseal, data: bytes
) -> None:
    path = write(1)
    (path / "model.safetensors").write_bytes(data)
    reseal(path)
    checkpoint = open_checkpoint(path)
    with pytest.raises(IntegrityError) as caught:
        checkpoint.tensors("model")
    assert str(caught.value).startswith(f"{path}: model.safetensors cannot be read: ")


def test_the_harmless_twin_of_those_is_read(write: Write, reseal: Reseal) -> None:
    path = write(1)
    (path / "model.safetensors").write_bytes(tensors(HEADER))
    reseal(path)
    assert open_checkpoint(path).tensors("model")["w"].tolist() == [0, 0]


def test_what_is_not_there_is_told_with_what_is(write: Write) -> None:
    checkpoint = open_checkpoint(write(1))
    for stem in ("ema", "../model", "tokenizer/tokenizer"):
        with pytest.raises(CheckpointError) as caught:
            checkpoint.tensors(stem)
        assert str(caught.value) == f'{checkpoint.path} has no tensors "{stem}", but model, optimizer'
    with pytest.raises(CheckpointError) as caught:
        checkpoint.folder("labels")
    assert str(caught.value) == f'{checkpoint.path} has no folder "labels"'
