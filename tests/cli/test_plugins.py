"""`lmkit plugins`: the table, the JSON, and what it says of plugins that are not well."""

import json
import os
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs
import pytest

from lmkit.registry import Registry
from lmkit.run.matrix import matrix
from lmkit.run.package import new_package

Lmkit = Callable[..., subprocess.CompletedProcess[str]]


def install(folder: Path, name: str, source: str) -> str:
    """A distribution with one plugin module; returns the PYTHONPATH that finds it."""
    module = name.replace("-", "_")
    information = folder / f"{module}-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[lmkit]\n{module} = {module}\n")
    (folder / f"{module}.py").write_text(source)
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


def test_every_installed_component_has_a_line_and_an_object(lmkit: Lmkit) -> None:
    found = json.loads(lmkit("plugins", "--json").stdout)
    installed = {point.dist.name for point in metadata.entry_points(group="lmkit") if point.dist}
    assert {plugin["distribution"] for plugin in found["plugins"]} == installed
    assert {c["distribution"] for c in found["components"]} == installed
    head, *lines = lmkit("plugins").stdout.splitlines()
    assert head.split() == ["kind", "name", "distribution", "version", "state"]
    told = [line.split() for line in lines]
    assert told == [[c[k] for k in ("kind", "use", "distribution", "version", "state")] for c in found["components"]]
    assert lmkit("plugins", "list").stdout.splitlines() == [head, *lines]


def test_a_broken_plugin_is_told_once_and_costs_the_others_nothing(lmkit: Lmkit, tmp_path: Path) -> None:
    path = install(tmp_path / "site", "broken-plugin", "import no_such_module\n")
    reason = (
        "broken-plugin 1.0 failed: ModuleNotFoundError: No module named 'no_such_module' "
        f"({tmp_path / 'site' / 'broken_plugin.py'}:1). Disable it with LMKIT_PLUGINS_DISABLE=broken-plugin"
    )
    done = lmkit("plugins", PYTHONPATH=path)
    assert done.stderr == f"warning: {reason}\n"
    lines = done.stdout.splitlines()
    assert next(line.split() for line in lines if "broken" in line) == ["-", "-", "broken-plugin", "1.0", "failed"]
    assert lines[-1] == f"failed: {reason}"
    assert len(lines) == len(lmkit("plugins").stdout.splitlines()) + 2


def test_a_disabled_plugin_is_listed_as_such(lmkit: Lmkit, tmp_path: Path) -> None:
    path = install(tmp_path / "site", "broken-plugin", "import no_such_module\n")
    done = lmkit("plugins", "--json", PYTHONPATH=path, LMKIT_PLUGINS_DISABLE="broken-plugin")
    assert done.stderr == ""
    states = {plugin["distribution"]: plugin["state"] for plugin in json.loads(done.stdout)["plugins"]}
    assert states.pop("broken-plugin") == "disabled"
    assert set(states.values()) == {"ok"}


def test_a_local_file_is_listed_beside_what_is_installed(lmkit: Lmkit, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from lmkit import hookimpl\n\n@hookimpl\ndef lmkit_tasks():\n    return {'my-task': 'mine:MyTask'}\n"
    )
    found = json.loads(lmkit("plugins", "--json", "--plugin", file).stdout)["components"]
    (mine,) = [component for component in found if component["name"] == "my-task"]
    assert mine["distribution"] == "local file mine.py"
    assert mine["version"].startswith("sha256:")


def test_a_task_that_wants_labels_is_checked_on_rows(lmkit: Lmkit, tmp_path: Path) -> None:
    alone = lmkit("plugins", "check", "classification", "--quiet", status=1)
    assert alone.stdout.endswith("A task that wants more than a text needs rows: --rows FILE\n")
    rows = tmp_path / "rows.jsonl"
    texts = ("a good film of old men", "so dull that nobody laughs", "the best of all songs", "we left before the end")
    rows.write_text("".join(json.dumps({"text": t, "side": "ab"[n % 2]}) + "\n" for n, t in enumerate(texts)))
    done = lmkit("plugins", "check", "classification", "--rows", rows, "--set", "label_column=side", "--quiet")
    assert done.stdout == "classification: 19 checks ran, 0 failed\n"
    rows.write_text(rows.read_text() + "[]\n")
    refused = lmkit("plugins", "check", "classification", "--rows", rows, "--quiet", status=2)
    assert f"{rows}:5: not a JSON object: a list" in refused.stderr
    refused = lmkit("plugins", "check", "classification", "--set", "colum=a", status=2)
    assert 'colum: unknown key for task "classification"' in refused.stderr
    refused = lmkit("plugins", "check", "lmkit-bert", "--set", "column=a", status=2)
    assert "expected one component, lmkit-bert has" in refused.stderr


@pytest.mark.slow
def test_a_head_that_no_task_reads_is_told(lmkit: Lmkit, tmp_path: Path) -> None:
    new_package("objective", "my-guess", tmp_path / "new")
    file = tmp_path / "new" / "lmkit_my_guess" / "my_guess.py"
    text = file.read_text()
    assert text.count('head_kind = "token"') == 1
    file.write_text(text.replace('head_kind = "token"', 'head_kind = "tokin"'))
    (tmp_path / "new" / "lmkit_my_guess" / "__init__.py").touch()
    mine = tmp_path / "new" / "mine.py"
    mine.write_text(
        "from lmkit import hookimpl\n\n@hookimpl\ndef lmkit_objectives():\n"
        "    return {'my-guess': 'lmkit_my_guess.my_guess:MyGuess'}\n"
    )
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "new"), os.environ.get("PYTHONPATH", "")])}
    done = lmkit("plugins", "check", "my-guess", "--plugin", mine, "--quiet", **path)
    assert 'note: no installed task reads heads of kind "tokin", but ' in done.stdout


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """The matrix of all that is installed, as JSON has it."""
    return json.loads(json.dumps(matrix(Registry()), default=attrs.asdict))


def test_the_matrix_has_a_line_for_each_and_a_reason_for_each_refusal(lmkit: Lmkit, whole: dict[str, Any]) -> None:
    found = whole
    lines = lmkit("plugins", "matrix").stdout.splitlines()
    for name, pairs in found["tables"].items():
        fit = [pair for pair in pairs if not pair["reason"]]
        assert found["fitting"][name] == len(fit)
        assert any(line.startswith(name) and line.endswith(f": {len(fit)} of {len(pairs)} fit") for line in lines)
        reasons = {pair["reason"] for pair in pairs if pair["reason"]}
        if name == "objective x task":  # once a task
            reasons = {reason.split("; ")[0] for reason in reasons}
        assert {f"  - {reason}" for reason in reasons} <= set(lines)
    assert lines[-1] == f"{found['triples']} of tokenizer x encoder x objective fit"


def test_the_matrix_of_one_component_has_its_pairs_only(lmkit: Lmkit, whole: dict[str, Any]) -> None:
    asked = json.loads(lmkit("plugins", "matrix", "rtd", "--json").stdout)["tables"]
    for name, pairs in whole["tables"].items():
        assert asked[name] == [pair for pair in pairs if "rtd" in (pair["first"], pair["second"])]
    assert any(asked.values())
    refused = lmkit("plugins", "matrix", "rdt", status=2)
    assert 'no component is named "rdt". Installed: ' in refused.stderr
