"""Local plugins: files of the user's that offer components without being installed.

Running a file is running its author's code: only files that the user named now are run, never one that a run's folder
merely lists.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

import attrs

from lmkit.errors import PluginError
from lmkit.registry.component import Plugin
from lmkit.registry.discovery import imported

LOCAL_DISTRIBUTION = "local file "
"""What a local plugin is called in place of a distribution; its file's name follows."""
LOCAL_PREFIX = "lmkit_local_"
"""Of the names of their modules."""


@attrs.frozen
class LocalPlugin:
    """A plugin that is a file of the user's, and not installed."""

    file: Path
    """Where it lies."""
    sha256: str
    """What it held when the run began, in hex."""


def asked_plugins(
    listed: Sequence[Path | LocalPlugin], local_files: Iterable[Path | str], recorded: bool, problems: list[str]
) -> tuple[LocalPlugin, ...]:
    """The plugins to run, those that a file lists first; what may not or cannot be run is added to `problems`.

    A path is something that the user wrote, unless the file is `recorded`: then it is no more than a name, as a
    LocalPlugin always is. Either is run from the file of that name in `local_files`.
    """
    asked = {path.name: path.absolute() for path in map(Path, local_files)}
    files: list[Path] = []
    for entry in listed:
        file, sha256 = (entry, "") if isinstance(entry, Path) else (entry.file, f" (sha256:{entry.sha256[:12]})")
        if file.name in asked:
            files.append(asked[file.name])
        elif recorded or sha256:
            problems.append(f"plugins: {file}{sha256} is not run unasked. Where you trust it, add --plugin {file}")
        else:
            files.append(file)
    files = list(dict.fromkeys([*files, *asked.values()]))
    names = [file.name for file in files]
    problems += [f"plugins: two files are called {name}" for name in sorted(set(names)) if names.count(name) > 1]
    try:
        plugins = {file.name: LocalPlugin(file, fingerprint(file)) for file in files}
    except PluginError as error:
        problems.append(f"plugins: {error}")
        return ()
    for entry in listed:
        if isinstance(entry, LocalPlugin) and (now := plugins.get(entry.file.name)) and now.sha256 != entry.sha256:
            message = f"{now.file} has changed: it was sha256:{entry.sha256[:12]} and is sha256:{now.sha256[:12]}"
            warnings.warn(message, stacklevel=4)
    return tuple(plugins.values())


def fingerprint(file: Path) -> str:
    """sha256 of a local plugin file, in hex; raises PluginError where it cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise PluginError(f"local file {file}: {error.strerror}") from None


def local_plugin(file: Path) -> Plugin:
    """The plugin of a local file, which is run; raises PluginError where it cannot be read."""
    digest = fingerprint(file)[:12]
    name = f"{LOCAL_PREFIX}{re.sub(r'[^0-9a-zA-Z_]', '_', file.stem)}_{digest}"
    plugin = imported(
        Plugin(f"{LOCAL_DISTRIBUTION}{file.name}", f"sha256:{digest}", name), lambda: _run_file(file, name)
    )
    own = re.compile(rf"^{re.escape(file.stem)}(?=:)")  # it may call itself by its file's name
    return attrs.evolve(
        plugin, components=tuple(attrs.evolve(c, path=own.sub(name, c.path)) for c in plugin.components)
    )


def _run_file(file: Path, name: str) -> ModuleType:
    if name in sys.modules:  # the same text under the same name: its classes stay the same classes
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
