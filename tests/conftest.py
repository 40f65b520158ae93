"""What tests of several folders need: real, tiny distributions that offer plugins."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

import pytest

from lmkit.registry import default_registry

MakeDistribution = Callable[..., Path]


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeDistribution]:
    """Installs distributions that have one plugin module; lmkit 0.1.0 and they are all that is installed."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.delenv("LMKIT_PLUGINS_DISABLE", raising=False)

    def only_here(*, group: str) -> metadata.EntryPoints:
        found = [p for d in metadata.distributions(path=[str(site)]) for p in d.entry_points if p.group == group]
        return metadata.EntryPoints(found)

    def make(
        name: str, version: str = "1.0", source: str = "", *, requires: Sequence[str] = (), module: str = ""
    ) -> Path:
        package = name.replace("-", "_")
        monkeypatch.delitem(sys.modules, package, raising=False)  # a real plugin of that name may be imported
        info = site / f"{package}-{version}.dist-info"
        info.mkdir()
        lines = [f"Requires-Dist: {requirement}\n" for requirement in requires]
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{''.join(lines)}")
        if source:
            (info / "entry_points.txt").write_text(f"[lmkit]\n{package} = {module or package}\n")
            (site / f"{package}.py").write_text(source)
        importlib.invalidate_caches()
        return site / f"{package}.py"

    make("lmkit", "0.1.0")
    monkeypatch.setattr(metadata, "entry_points", only_here)
    default_registry.cache_clear()
    yield make
    default_registry.cache_clear()
    for loaded, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[loaded]
