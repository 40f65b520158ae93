"""package: a new plugin's distribution, written from lmkit/templates, that installs and passes the kit as it is."""

from __future__ import annotations

import keyword
import re
import shutil
from importlib import resources
from pathlib import Path
from string import Template

from lmkit.errors import ConfigError
from lmkit.registry import INTERFACES, default_registry

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def new_package(kind: str, name: str, folder: Path) -> list[Path]:
    """Write a distribution with the component `name` of this kind into the new `folder`; returns its files.

    Raises ConfigError for a kind or name that cannot be, or a folder that exists.
    """
    if kind not in INTERFACES:
        raise ConfigError("plugins new", [f"expected {', '.join(INTERFACES[:-1])} or {INTERFACES[-1]}, got {kind!r}"])
    file = name.replace("-", "_")
    if taken := [c for c in default_registry().components() if (c.kind, c.name) == (kind, name)]:
        raise ConfigError("plugins new", [f"{taken[0]} is installed already: choose another name"])
    if not _NAME.fullmatch(name) or keyword.iskeyword(file) or file == "plugin":
        problem = f"expected a name of small letters, digits and single hyphens, such as my-{kind}, got {name!r}"
        raise ConfigError("plugins new", [problem])
    if folder.exists():
        raise ConfigError(str(folder), ["exists already: name another folder with --output"])
    distribution = name if name.startswith("lmkit-") else f"lmkit-{name}"
    module = distribution.replace("-", "_")
    values = {
        "kind": kind,
        "name": name,
        "distribution": distribution,
        "module": module,
        "file": file,
        "cls": "".join(part.capitalize() for part in name.split("-")),
    }
    wanted = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{module}/plugin.py": "plugin.py",
        f"{module}/{file}.py": f"{kind}.py",
        "tests/test_conformance.py": "test_conformance.py",
    }
    texts = {path: _filled(source, values) for path, source in wanted.items()}
    texts[f"{module}/__init__.py"] = f'"""The {kind} {name} for lmkit; see `plugin`."""\n'
    texts[f"{module}/py.typed"] = ""
    try:
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ConfigError(str(folder), [f"cannot be written: {error.strerror}"]) from None
    return [folder / path for path in sorted(texts)]


def _filled(source: str, values: dict[str, str]) -> str:
    text = (resources.files("lmkit.templates") / f"{source}.in").read_text(encoding="utf-8")
    return Template(text).substitute(values)
