"""Components that plugins and local files offer, imported when they are used and checked then."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from lmkit.errors import PluginError, UnknownComponentError
from lmkit.registry import Registry

HEAVY = """
from lmkit import hookimpl

@hookimpl
def lmkit_encoders():
    return {"heavy": "heavy_parts:Heavy"}
"""
TASK = """
import attrs
from lmkit import Task, hookimpl

@attrs.frozen
class Config:
    column: str = "text"
    "Column of the text."

class Echo(Task):
    name = "echo"
    Config = Config
    reads = frozenset({"token"})

    def __init__(self, config, tokenizer): ...
    def build_objective(self, labels): ...
    def examples(self, row): ...
    def predict(self, encoder, head, rows, *, batch_tokens): ...

class Silent:
    name = "silent"

class Misnamed(Echo):
    name = "other"

class Shapeless(Echo):
    name = "shapeless"
    Config = dict

class Untyped(Echo):
    name = "untyped"
    Config = attrs.make_class("Config", {"lengths": attrs.field(type="Sequence[int]")})

class Unfinished(Task):
    name = "unfinished"
    Config = Config

number = 3
"""


def tasks(*pairs: tuple[str, str], module: str) -> str:
    names = ", ".join(f'"{name}": "{module}:{cls}"' for name, cls in pairs)
    return f"{TASK}\n@hookimpl\ndef lmkit_tasks():\n    return {{{names}}}\n"


def test_a_component_that_keeps_its_interface_loads(distribution: Callable[..., Path]) -> None:
    distribution("echo", "1.0", tasks(("echo", "Echo"), module="echo"))
    assert Registry().find("task", "echo").load().__name__ == "Echo"


@pytest.mark.parametrize(
    ("name", "cls", "wrong"),
    [
        ("silent", "Silent", "is not a subclass of lmkit.Task"),
        ("misnamed", "Misnamed", "calls itself 'other': its `name` must be 'misnamed'"),
        ("shapeless", "Shapeless", "has no Config that is an attrs class"),
        (
            "untyped",
            "Untyped",
            "has a Config whose types cannot be read: name 'Sequence' is not defined",
        ),
        ("unfinished", "Unfinished", "does not define __init__, build_objective, examples, predict"),
        ("number", "number", "is not a class but int 3"),
        (
            "gone",
            "Gone",
            "cannot be imported: AttributeError: module 'echo' has no attribute 'Gone'",
        ),
    ],
)
def test_a_component_that_breaks_its_interface_is_refused(
    distribution: Callable[..., Path], name: str, cls: str, wrong: str
) -> None:
    distribution("echo", "1.0", tasks((name, cls), module="echo"))
    with pytest.raises(PluginError) as caught:
        Registry().find("task", name).load()
    assert str(caught.value) == f'task "{name}" (echo 1.0) at echo:{cls} {wrong}'


def test_a_component_whose_import_raises_names_its_file_and_line(distribution: Callable[..., Path]) -> None:
    file = distribution("heavy", "1.0", HEAVY).parent / "heavy_parts.py"
    file.write_text("\nimport cuda_kernels_of_mine\n")
    with pytest.raises(PluginError) as caught:
        Registry().find("encoder", "heavy").load()
    assert str(caught.value) == (
        'encoder "heavy" (heavy 1.0) at heavy_parts:Heavy cannot be imported: '
        f"ModuleNotFoundError: No module named 'cuda_kernels_of_mine' ({file}:2)"
    )


def test_a_config_finds_its_component_and_imports_no_other(distribution: Callable[..., Path]) -> None:
    distribution("echo", "1.0", tasks(("echo", "Echo"), module="echo"))
    distribution(
        "aaa", "1.0", "from lmkit import hookimpl\n@hookimpl\ndef lmkit_tasks():\n    return {'a': 'aa.b:A'}\n"
    )
    registry = Registry()
    echo = registry.find("task", "echo")
    assert registry.component_of(echo.load().Config()) == echo
    assert registry.component_of(echo.load().Config(), "task") == echo
    assert "aa" not in sys.modules
    stranger = attrs.make_class("Stranger", [])()
    with pytest.raises(UnknownComponentError) as caught:
        registry.component_of(stranger, "task")
    assert str(caught.value) == (
        f"no task has the Config {type(stranger).__module__}.Stranger. Installed: a (aaa 1.0), echo (echo 1.0)."
    )


def test_a_local_file_is_a_plugin_with_its_hash_for_a_version(
    distribution: Callable[..., Path], tmp_path: Path
) -> None:
    file = tmp_path / "my-task.py"
    file.write_text(tasks(("echo", "Echo"), module="here").replace('"here:Echo"', 'f"{__name__}:Echo"'))
    registry = Registry([file])
    [plugin] = registry.plugins()
    assert plugin.distribution == "local file my-task.py"
    assert plugin.version.startswith("sha256:")
    assert len(plugin.version) == len("sha256:") + 12
    component = registry.find("task", "local file my-task.py:echo")
    cls = component.load()
    assert registry.component_of(cls.Config()) == component
    assert Registry([file]).find("task", "echo").load() is cls
    file.write_text(file.read_text() + "\n")
    assert Registry([file]).find("task", "echo").version != component.version


def test_a_local_file_may_call_itself_by_its_name(distribution: Callable[..., Path], tmp_path: Path) -> None:
    file = tmp_path / "my_task.py"
    file.write_text(tasks(("echo", "Echo"), module="my_task"))
    assert Registry([file]).find("task", "echo").load().__name__ == "Echo"
    assert "my_task" not in sys.modules


def test_a_local_file_that_cannot_be_used_is_an_error(distribution: Callable[..., Path], tmp_path: Path) -> None:
    file = tmp_path / "my_task.py"
    with pytest.raises(PluginError) as caught:
        Registry([file]).plugins()
    assert str(caught.value) == f"local file {file}: No such file or directory"
    file.write_text("import attrs\nattrs.nothing\n")
    with pytest.raises(PluginError) as caught:
        Registry([file]).plugins()
    assert str(caught.value).endswith(f"AttributeError: module attrs has no attribute nothing ({file}:2)")
    assert str(caught.value).startswith("local file my_task.py sha256:")
