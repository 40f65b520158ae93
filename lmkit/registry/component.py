"""Component and Plugin: what a registry lists. A component's class is imported by `load`, and by nothing else."""

from __future__ import annotations

import importlib
import traceback
from typing import Any, Literal, get_type_hints

import attrs

from lmkit.errors import PluginError

Kind = Literal["tokenizer", "encoder", "objective", "task", "format", "reporter"]
INTERFACES: tuple[Kind, ...] = ("tokenizer", "encoder", "objective", "task")
"""The kinds that have an interface: a class with a Config, and the kit's checks."""
State = Literal["ok", "failed", "disabled", "conflict", "incompatible"]

_MACHINERY = {
    "lmkit",
    "concurrent",
    "threading",
    "importlib",
    "_frozen_importlib",
    "_frozen_importlib_external",
    "pluggy",
}


@attrs.frozen
class Component:
    """A class that a plugin offers under a name; nothing of it is imported yet."""

    kind: Kind
    name: str
    distribution: str
    """Who offers it; "local file my_task.py" where that is no distribution."""
    version: str
    """Of the distribution; "sha256:<12 digits>" of a local file."""
    path: str
    """module:Class"""
    use: str
    """What a config calls it: its name, or distribution:name where several distributions offer that name."""

    def __str__(self) -> str:
        return f'{self.kind} "{self.name}" ({self.distribution} {self.version})'

    def load(self) -> type[Any]:
        """The class; raises PluginError where it cannot be imported or breaks the interface of its kind."""
        module, _, name = self.path.partition(":")
        try:
            cls = getattr(importlib.import_module(module), name)
        except (Exception, SystemExit) as error:
            raise PluginError(f"{self} at {self.path} cannot be imported: {told(error)}") from error
        if wrong := self._wrong(cls):
            raise PluginError(f"{self} at {self.path} {wrong}")
        loaded: type[Any] = cls
        return loaded

    def _wrong(self, cls: Any) -> str | None:
        if not isinstance(cls, type):
            return f"is not a class but {type(cls).__name__} {cls!r}"
        if self.kind in INTERFACES:
            interface = getattr(importlib.import_module("lmkit.interfaces"), self.kind.capitalize())
            if not issubclass(cls, interface):
                return f"is not a subclass of lmkit.{interface.__name__}"
            if (name := getattr(cls, "name", None)) != self.name:
                return f"calls itself {name!r}: its `name` must be {self.name!r}"
            config = getattr(cls, "Config", None)
            if not (isinstance(config, type) and attrs.has(config)):
                return "has no Config that is an attrs class"
            try:
                get_type_hints(config)
            except Exception as error:
                return f"has a Config whose types cannot be read: {error}"
        if self.kind == "format" and not issubclass(cls, importlib.import_module("lmkit.interfaces").Format):
            return "is not a subclass of lmkit.interfaces.Format"
        if missing := sorted(getattr(cls, "__abstractmethods__", ())):
            return f"does not define {', '.join(missing)}"
        return None


@attrs.frozen
class Plugin:
    """One entry point of the group "lmkit", or one local file, and what became of it."""

    distribution: str
    version: str
    module: str
    state: State = "ok"
    reason: str = ""
    """A sentence, where the state is not ok."""
    import_ms: float = 0.0
    components: tuple[Component, ...] = ()

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


def told(error: BaseException) -> str:
    """An error in one line, with the last file and line of the plugin's own on the way to it."""
    if isinstance(error, PluginError):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({error.filename}:{error.lineno})"
    text = " ".join(str(error).split())
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = [
        (frame.f_globals.get("__name__", "").partition(".")[0], frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    outside = [frame for frame in frames if frame[0] not in _MACHINERY]
    places = [f"{file}:{line}" for package, file, line in outside if package == outside[0][0]]
    return f"{said} ({places[-1]})" if places else said
