"""What is compiled is kept in the cache, where that is the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmkit.cache import keep_compiled


def kept() -> dict[str, str]:
    environ: dict[str, str] = {}
    keep_compiled(environ)
    return environ


def test_it_is_kept_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LMKIT_CACHE", str(tmp_path / "cache"))
    assert kept() == {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache" / "compiled")}
    assert (tmp_path / "cache" / "compiled").stat().st_mode & 0o777 == 0o700
    told = {"TORCHINDUCTOR_CACHE_DIR": "/elsewhere"}
    keep_compiled(told)
    assert told == {"TORCHINDUCTOR_CACHE_DIR": "/elsewhere"}


def test_a_folder_that_others_may_write_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LMKIT_CACHE", str(tmp_path))
    (tmp_path / "compiled").mkdir()
    (tmp_path / "compiled").chmod(0o777)
    assert kept() == {}


def test_a_cache_that_cannot_be_made_is_no_matter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LMKIT_CACHE", str(tmp_path / "file"))
    assert kept() == {}
