"""`lmkit doctor`: every heading is there, and the JSON says the same as the words."""

import json
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

Lmkit = Callable[..., subprocess.CompletedProcess[str]]


def test_it_says_what_a_bug_report_needs(lmkit: Lmkit, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "tokens").write_bytes(bytes(2_000_000))
    environment = {"LMKIT_CACHE": str(tmp_path / "cache")}
    found = json.loads(lmkit("doctor", "--json", **environment).stdout)
    assert list(found) == ["versions", "machine", "training", "cache", "plugins"]
    assert found["versions"]["torch"] == metadata.version("torch")
    assert found["machine"]["threads of a run"] <= found["machine"]["cores"]
    assert found["training"]["device"] in ("cpu", "cuda")
    assert found["training"]["compile"].startswith(("possible", "not possible: "))
    assert found["cache"] == {"folder": str(tmp_path / "cache"), "files": 1, "size MB": 2.0}
    assert set(found["plugins"]) == {p.dist.name for p in metadata.entry_points(group="lmkit") if p.dist}
    lines = lmkit("doctor", **environment).stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == list(found)
    assert f"  torch         {found['versions']['torch']}" in lines
