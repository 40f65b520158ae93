"""The rules of the house, read from the source: who imports whom, what the core may not know, what nobody may call.

errors <- batch <- interfaces <- { parts, hookspecs }         what plugins may see
              model, registry, config, data, checkpoint       what the core does with them
engine -> errors, batch, cache   report -> errors, batch, engine.events   run -> all below   cli -> run ...
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "lmkit"
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))

FOR_PLUGINS = {"errors", "batch", "interfaces", "hookspecs", "parts"}
CORE_UNITS = {"model", "registry", "config", "data", "checkpoint", "lora", "spelling", "cache"}
BELOW_RUN = FOR_PLUGINS | CORE_UNITS | {"engine", "recipe"}
ALLOWED = {
    "errors": set(),
    "batch": {"errors"},
    "interfaces": {"errors", "batch"},
    "parts": {"errors", "batch", "interfaces"},
    "hookspecs": {"errors", "batch", "interfaces"},
    **dict.fromkeys(CORE_UNITS, FOR_PLUGINS | CORE_UNITS),
    "recipe": FOR_PLUGINS | CORE_UNITS | {"engine.settings"},
    "engine": {"errors", "batch", "cache"},
    "report": {"errors", "batch", "engine.events", "engine.step"},
    "run": BELOW_RUN | {"report"},
    "testing": BELOW_RUN,
    "cli": {"errors", "run", "registry", "testing"},
    "__init__": BELOW_RUN | {"report", "run"},
    "__main__": {"cli"},
    "templates": set(),
}
"""Unit of lmkit -> what else of lmkit its files may import; every unit may import itself."""

WITHOUT_TORCH = ("__init__", "errors", "hookspecs", "registry", "config", "recipe", "spelling", "cache", "cli")
STORED_CODE = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib", "cloudpickle"}
FORBIDDEN_CALLS = {"eval", "exec", "__import__", "torch.load", "torch.save", "torch.hub.load"}
WATCHES_GENERATORS = CORE / "testing" / "generators.py"
"""The one file that reads and sets global generators: to see that no component does."""
SAID_IN_THE_CORE = {
    "embedding": "a role of parameters too",
    "vocabulary": "what a tokenizer has",
    "bytes": "what files are made of",
    "csv": "a format of files",
    "transformers": "the library whose names for their weights encoders know, and the format that is exported to",
    "minimal-pairs": "`lmkit evaluate --minimal-pairs` runs the installed task of that name",
}
"""Component names that the core may say, and why."""
NUMPY_RANDOM = {"default_rng", "Generator", "SeedSequence", "BitGenerator", "PCG64", "Philox"}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def python_files(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def package(plugin: Path) -> Path:
    return plugin / plugin.name.replace("-", "_")


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def imports(path: Path) -> Iterator[tuple[ast.AST, str]]:
    """Every import of a file as dotted names, `from a import b` as "a.b", those in functions and strings too."""
    inside = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(tree(path)):
        match node:
            case ast.Import(names=names):
                yield from ((node, name.name) for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = ".".join([*inside[:-level], *([module] if module else [])]) if level else module
                yield from ((node, f"{base}.{name.name}") for name in names)
            case ast.Call(func=ast.Name("import_module") | ast.Attribute(attr="import_module"), args=[first, *_]):
                if isinstance(first, ast.Constant):
                    yield node, str(first.value)


def unit(path: Path) -> str:
    return path.relative_to(CORE).with_suffix("").parts[0]


def is_allowed(name: str, allowed: set[str]) -> bool:
    return any(f"{name}.".startswith(f"lmkit.{other}.") for other in allowed)


@cache
def public_names() -> dict[str, str]:
    """Public name -> the dotted name it stands for: the table by which `lmkit` resolves its names lazily."""
    strings = [n for n in ast.walk(tree(CORE / "__init__.py")) if isinstance(n, ast.Dict)]
    return {
        key.value: f"{value.value}.{key.value}"
        for table in strings
        for key, value in zip(table.keys, table.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(value, ast.Constant) and str(value.value).startswith("lmkit.")
    }


def home(name: str) -> str:
    """Where a name of lmkit lives: "lmkit.Batch" is "lmkit.batch.Batch"."""
    parts = name.split(".")
    return public_names().get(parts[1], name) if len(parts) == 2 else name


def test_layers_import_only_what_lies_below_them() -> None:
    wrong, seen = [], 0
    for path in python_files(CORE):
        assert unit(path) in ALLOWED, f"{path.relative_to(ROOT)} belongs to no layer: give it one in {__file__}"
        allowed = ALLOWED[unit(path)] | {unit(path), "__version__"}
        for node, name in imports(path):
            if name.split(".")[0] == "lmkit" and name != "lmkit":
                seen += 1
                if not is_allowed(home(name), allowed):
                    wrong.append(f"{where(path, node)} imports {name}")
    assert not wrong
    assert seen > 100


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_a_plugin_imports_interfaces_and_parts_and_no_other_plugin(plugin: Path) -> None:
    others = {package(other).name for other in PLUGINS if other != plugin}
    wrong, seen = [], 0
    for path in python_files(plugin):
        allowed = FOR_PLUGINS | ({"testing"} if "tests" in path.relative_to(plugin).parts else set())
        for node, name in imports(path):
            top = name.split(".")[0]
            seen += top == "lmkit"
            if top in others or (top == "lmkit" and not is_allowed(home(name), allowed)):
                wrong.append(f"{where(path, node)} imports {name}")
    assert not wrong
    assert seen, f"{plugin.name} imports nothing of lmkit: the test looked at the wrong files"


def test_no_module_of_the_core_imports_a_plugin() -> None:
    packages = {package(plugin).name for plugin in PLUGINS}
    assert packages
    wrong = [
        f"{where(path, node)} imports {name}"
        for path in python_files(CORE)
        for node, name in imports(path)
        if name.split(".")[0] in packages
    ]
    assert not wrong


def test_hookspecs_see_interfaces_for_types_only() -> None:
    at_run_time = [node for node in tree(CORE / "hookspecs.py").body if isinstance(node, ast.ImportFrom)]
    assert not [n.module for n in at_run_time if n.module and n.module.startswith("lmkit")]


def component_names() -> set[str]:
    """The names that plugins give their components in hooks, and the names of the distributions themselves."""
    names = {name for plugin in PLUGINS for name in (plugin.name, package(plugin).name)}
    for path in python_files(*(package(plugin) for plugin in PLUGINS)):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("lmkit_"):
                tables = [n for n in ast.walk(node) if isinstance(n, ast.Dict)]
                names |= {k.value for t in tables for k in t.keys if isinstance(k, ast.Constant)}
    return names


def test_the_core_names_no_plugin_and_no_component() -> None:
    """Names come from the registry: a literal of one in the core would be a favour to a built-in."""
    names = component_names()
    assert len(names) > 2 * len(PLUGINS), "no component found: the test looked at the wrong files"
    assert names > SAID_IN_THE_CORE.keys()
    names -= SAID_IN_THE_CORE.keys()
    words = re.compile(r"(?<![\w-])(" + "|".join(map(re.escape, sorted(names))) + r")(?![\w-])", re.IGNORECASE)
    wrong = [
        f"{where(path, node)} says {node.value!r}"
        for path in python_files(CORE)
        for docstrings in [
            {id(n.value) for n in ast.walk(tree(path)) if isinstance(n, ast.Expr)},
        ]
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
        if words.search(node.value)
    ]
    assert not wrong


def forbidden(path: Path) -> Iterator[str]:
    """What a file does that nobody may, a sentence each."""
    modules = STORED_CODE if path == WATCHES_GENERATORS else STORED_CODE | {"random"}
    yield from (f"{where(path, node)} imports {name}" for node, name in imports(path) if name.split(".")[0] in modules)
    for node in ast.walk(tree(path)):
        match node:
            case ast.Call(func=function, keywords=keywords):
                if ast.unparse(function) in FORBIDDEN_CALLS:
                    yield f"{where(path, node)} calls {ast.unparse(function)}"
                if any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in keywords):
                    yield f"{where(path, node)} allows pickle"
            case ast.Attribute(value=ast.Attribute(value=ast.Name("np" | "numpy"), attr="random"), attr=name):
                if name not in NUMPY_RANDOM and path != WATCHES_GENERATORS:
                    yield f"{where(path, node)} uses numpy's global generator"


def test_nothing_runs_stored_code_or_draws_from_a_global_generator() -> None:
    files = python_files(CORE, ROOT / "examples", *map(package, PLUGINS))
    assert WATCHES_GENERATORS in files
    assert not [sentence for path in files for sentence in forbidden(path)]


def test_what_is_forbidden_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    source = tmp_path / "wrong.py"
    source.write_text(
        "import pickle, random\n"
        "def load(path):\n"
        "    from dill import loads\n"
        "    np.random.seed(0)\n"
        "    np.load(path, allow_pickle=True)\n"
        "    return torch.load(path), eval('1'), model.eval(), np.random.default_rng(0)\n"
    )
    assert sorted(forbidden(source)) == [
        "wrong.py:1 imports pickle",
        "wrong.py:1 imports random",
        "wrong.py:3 imports dill.loads",
        "wrong.py:4 uses numpy's global generator",
        "wrong.py:5 allows pickle",
        "wrong.py:6 calls eval",
        "wrong.py:6 calls torch.load",
    ]


def test_files_stay_short() -> None:
    folders = [ROOT / name for name in ("lmkit", "plugins", "tests", "benchmarks", "examples")]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in python_files(*folders)}
    assert len(lengths) > 10
    assert not {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n >= 300}


def test_what_answers_at_once_loads_no_torch() -> None:
    """Listing plugins, reading a config or printing help may not pay for torch, however deep the import hides."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in python_files(CORE)
        if unit(path) in WITHOUT_TORCH
    ]
    assert "lmkit" in modules
    code = f"""
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
    heavy = sorted({{"torch", "datasets", "transformers", "pandas"}} & set(sys.modules))
    assert not heavy, f"{{name}} loads {{heavy}}"
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
