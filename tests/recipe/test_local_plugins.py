"""Local plugin files: run where the user names them, and named where a run does."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lmkit.errors import ConfigError, PluginError
from lmkit.recipe import (
    read_pretraining,
    resolved_toml,
)
from lmkit.registry import LocalPlugin

LOCAL = """
import toy_parts
from lmkit import hookimpl

class Tower(toy_parts.Mixer):
    name = "tower"

@hookimpl
def lmkit_encoders():
    return {"tower": "my_tower:Tower"}
"""


def test_a_local_plugin_is_run_where_the_user_names_it(toy: Any, run_toml: Path) -> None:
    file = run_toml.parent / "my_tower.py"
    file.write_text(LOCAL)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    text = run_toml.read_text().replace("toy:mixer", "tower")
    run_toml.write_text('plugins = ["my_tower.py"]\n' + text)
    recipe = read_pretraining(run_toml)
    assert recipe.plugins == (LocalPlugin(file, sha256),)
    assert recipe.encoder.component.version == f"sha256:{sha256[:12]}"
    run_toml.write_text(text)
    assert read_pretraining(run_toml, local_files=[file]) == recipe
    assert read_pretraining(recipe, overrides=["seed=7"]) == recipe


def test_a_local_plugin_of_a_runs_folder_is_named_and_not_run(toy: Any, run_toml: Path, tmp_path: Path) -> None:
    file = run_toml.parent / "my_tower.py"
    file.write_text(LOCAL)
    run_toml.write_text('plugins = ["my_tower.py"]\n' + run_toml.read_text().replace("toy:mixer", "tower"))
    recipe = read_pretraining(run_toml)
    config = tmp_path / "config.toml"
    config.write_text(resolved_toml(recipe))
    file.write_text("raise SystemExit('it was run')")
    sha256 = recipe.plugins[0].sha256
    for recorded in (True, False):
        with pytest.raises(ConfigError) as caught:
            read_pretraining(config, recorded=recorded)
        assert caught.value.problems == (
            f"plugins: {file} (sha256:{sha256[:12]}) is not run unasked. Where you trust it, add --plugin {file}",
        )
    with pytest.raises(ConfigError) as caught:
        read_pretraining(run_toml, recorded=True)
    assert caught.value.problems == (f"plugins: {file} is not run unasked. Where you trust it, add --plugin {file}",)
    file.write_text(LOCAL)
    assert read_pretraining(config, local_files=[file], recorded=True) == recipe


def test_a_local_plugin_that_changed_is_told(toy: Any, run_toml: Path, tables: dict[str, Any]) -> None:
    file = run_toml.parent / "my_tower.py"
    file.write_text(LOCAL)
    recipe = read_pretraining({**tables, "encoder": {"use": "tower"}}, local_files=[file])
    file.write_text(LOCAL + "\n")
    now = hashlib.sha256(file.read_bytes()).hexdigest()
    message = f"{file} has changed: it was sha256:{recipe.plugins[0].sha256[:12]} and is sha256:{now[:12]}"
    with pytest.warns(UserWarning, match="has changed") as caught:
        read_pretraining(tomllib.loads(resolved_toml(recipe)), local_files=[file], recorded=True)
    assert [str(warning.message) for warning in caught] == [message]


def test_local_plugins_that_cannot_be_used_are_told(toy: Any, tmp_path: Path, tables: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_pretraining({**tables, "plugins": [str(tmp_path / "gone.py"), 3]})
    assert caught.value.problems == ("plugins[1]: expected path or table, got int 3",)
    with pytest.raises(ConfigError) as caught:
        read_pretraining({**tables, "plugins": [str(tmp_path / "gone.py")]})
    assert caught.value.problems == (f"plugins: local file {tmp_path}/gone.py: No such file or directory",)
    (tmp_path / "a").mkdir()
    for file in (tmp_path / "twin.py", tmp_path / "a" / "twin.py"):
        file.write_text(LOCAL)
    with pytest.raises(ConfigError) as caught:
        read_pretraining({**tables, "plugins": [str(tmp_path / "twin.py"), str(tmp_path / "a" / "twin.py")]})
    assert caught.value.problems == ("plugins: two files are called twin.py",)
    (tmp_path / "twin.py").write_text("1 / 0")
    with pytest.raises(PluginError, match=r"^local file twin\.py sha256:\w{12} failed: ZeroDivisionError"):
        read_pretraining(tables, local_files=[tmp_path / "twin.py"])
