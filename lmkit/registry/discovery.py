"""Discovery: entry points -> plugins, each imported by itself.

Plugin modules are tiny and all imported when a registry is first asked, a millisecond or so each. pluggy isolates
nothing, so each plugin gets a manager of its own: one that is broken costs the others nothing.
"""

from __future__ import annotations

import importlib
import inspect
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib import metadata
from types import ModuleType
from typing import Any, get_args

import attrs
import pluggy

from lmkit import hookspecs
from lmkit.errors import PluginError
from lmkit.registry.component import Component, Kind, Plugin, told
from lmkit.spelling import did_you_mean

DISABLE = "LMKIT_PLUGINS_DISABLE"

_HOOKS: dict[str, Kind] = {f"lmkit_{kind}s": kind for kind in get_args(Kind)}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def installed_plugin(point: metadata.EntryPoint, disabled: Collection[str]) -> Plugin:
    """The plugin of an entry point, in whatever state; `disabled` holds normal names of distributions."""
    assert point.dist is not None
    plugin = Plugin(point.dist.name, point.dist.version, point.value)
    if normal(plugin.distribution) in disabled:
        return attrs.evolve(plugin, state="disabled", reason=f"{plugin} is disabled by {DISABLE}")
    if wanted := _incompatible(point.dist.requires or ()):
        reason = f"{plugin} wants {wanted}, but lmkit {metadata.version('lmkit')} is installed"
        plugin = attrs.evolve(plugin, state="incompatible", reason=reason)
    else:
        plugin = imported(plugin, lambda: importlib.import_module(point.value))
    return attrs.evolve(
        plugin, reason=plugin.reason and f"{plugin.reason}. Disable it with {DISABLE}={point.dist.name}"
    )


def imported(plugin: Plugin, load: Callable[[], ModuleType]) -> Plugin:
    """The plugin with what its module offers, or failed with the reason."""
    start = time.perf_counter()
    try:
        module = load()
        spent = (time.perf_counter() - start) * 1e3
        return attrs.evolve(plugin, import_ms=spent, components=tuple(_offers(plugin, module)))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a stranger's module raises, the others go on
        return attrs.evolve(plugin, state="failed", reason=f"{plugin} failed: {told(error)}")


def _offers(plugin: Plugin, module: ModuleType) -> Iterator[Component]:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        unknown = [caller.name for caller in manager.get_hookcallers(module) or () if not caller.has_spec()]
        if not unknown:
            raise PluginError(" ".join(str(error).split())) from None
        raise PluginError(f'no hook is named "{unknown[0]}".{did_you_mean(unknown[0], _HOOKS)}') from None
    callers = manager.get_hookcallers(module) or []
    written = {name for name in _HOOKS if inspect.isfunction(getattr(module, name, None))}
    if unmarked := sorted(written - {caller.name for caller in callers}):
        raise PluginError(f"{unmarked[0]} is not marked with @hookimpl")
    if not callers:
        raise PluginError(f"{module.__name__} has no function marked with @hookimpl")
    for caller in callers:
        for offered in caller():
            yield from _components(plugin, caller.name, offered)


def _components(plugin: Plugin, hook: str, offered: Any) -> Iterator[Component]:
    if not isinstance(offered, Mapping):
        raise PluginError(f'{hook} must return {{name: "module:Class"}}, not {type(offered).__name__} {offered!r}')
    for name, path in offered.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PluginError(f"{hook} offers the name {name!r}, which does not match {_NAME.pattern}")
        if not isinstance(path, str) or not _PATH.fullmatch(path):
            raise PluginError(f'{hook} offers "{name}" at {path!r}, which is no "module:Class"')
        yield Component(_HOOKS[hook], name, plugin.distribution, plugin.version, path, use=name)


def _incompatible(requires: Sequence[str]) -> str | None:
    """What a distribution asks of lmkit where the installed one is something else."""
    if not any(normal(line).startswith("lmkit") for line in requires):
        return None
    try:
        installed = metadata.version("lmkit")
    except metadata.PackageNotFoundError:  # used from its source folder
        return None
    from packaging.requirements import InvalidRequirement, Requirement  # slow to import, seldom needed

    for line in requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        fits = requirement.specifier.contains(installed, prereleases=True)
        if normal(requirement.name) == "lmkit" and applies and not fits:
            return f"lmkit{requirement.specifier}"
    return None


def normal(distribution: str) -> str:
    """A distribution's name as packaging tools compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
