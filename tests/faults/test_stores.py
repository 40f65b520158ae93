"""Tokens that were changed on the disk are not trained on."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path

import pytest

import lmkit
from lmkit.data.store import open_store, store_folder
from tests.faults.conftest import Cases
from tests.run.recipes import recipe


def test_any_bit_of_a_store_that_is_flipped_is_found(
    tmp_path: Path, book: Path, cases: Cases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMKIT_CACHE", str(tmp_path / "cache"))
    table = recipe("clm", book, steps=4, every_steps=2)
    run = lmkit.pretrain(table, run=tmp_path / "run", quiet=True)
    shutil.rmtree(run.folder / "checkpoints" / "step-00000004")
    state = json.loads((run.folder / "checkpoints" / "step-00000002" / "state.json").read_text())
    [fingerprint] = state["data"]["train"]
    drawn = random.Random(1)
    paths = [store_folder(fingerprint) / name for name in ("tokens.bin", "documents.bin", "bytes.bin")]
    for _ in range(cases(200, 1_000, 10_000)):
        path = drawn.choice(paths)
        whole = path.read_bytes()
        bit = drawn.randrange(8 * len(whole))
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        path.write_bytes(broken)
        with pytest.raises(lmkit.IntegrityError, match=re.escape(f"{path}: its bytes have changed")):
            open_store(fingerprint, verified=True)
        path.write_bytes(whole)
    path = paths[0]
    path.write_bytes(b"\0\0" + path.read_bytes()[2:])
    said = rf"{re.escape(str(path))}: its bytes have changed\. Delete .*: it is made again from the text"
    with pytest.raises(lmkit.IntegrityError, match=said):
        lmkit.resume(run.folder, quiet=True)
    with pytest.raises(lmkit.IntegrityError, match=said):
        lmkit.pretrain(table, run=tmp_path / "another", quiet=True)
    assert not (tmp_path / "another").exists()
    shutil.rmtree(path.parent)
    assert lmkit.resume(run.folder, quiet=True).step == 4


def test_an_index_of_blocks_that_has_changed_is_found(
    tmp_path: Path, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMKIT_CACHE", str(tmp_path / "cache"))
    table = recipe("clm", book, steps=1)
    lmkit.pretrain(table, run=tmp_path / "run", quiet=True)
    for number, path in enumerate(sorted((tmp_path / "cache" / "stores").glob("*/blocks-*/*"))):
        whole = path.read_bytes()
        if path.name == "manifest.json":
            path.write_text(path.read_text().replace('"blocks": ', '"blocks": 1'))
        else:
            path.write_bytes(bytes(len(whole)))
        with pytest.raises(lmkit.IntegrityError, match=re.escape(str(path))):
            lmkit.pretrain(table, run=tmp_path / f"run-{number}", quiet=True)
        assert not (tmp_path / f"run-{number}").exists()
        path.write_bytes(whole)
    assert number >= 7  # of two stores, three files each and what lists them
