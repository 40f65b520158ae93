"""The registry itself: what is installed, looked up by kind and name, and where two distributions clash."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs

from lmkit.errors import PluginError, UnknownComponentError
from lmkit.registry.component import Component, Kind, Plugin
from lmkit.registry.discovery import DISABLE, installed_plugin, normal
from lmkit.registry.local import LOCAL_DISTRIBUTION, local_plugin
from lmkit.spelling import did_you_mean


class Registry:
    """What installed distributions and `local_files` offer; read once, when first asked.

    `disabled` names distributions that are not imported, by default those of LMKIT_PLUGINS_DISABLE.
    """

    def __init__(self, local_files: Sequence[Path | str] = (), disabled: Collection[str] | None = None) -> None:
        if disabled is None:
            disabled = [name.strip() for name in os.environ.get(DISABLE, "").split(",") if name.strip()]
        self._local_files = tuple(map(Path, local_files))
        self._disabled = {normal(name) for name in disabled}

    def plugins(self) -> list[Plugin]:
        """Every plugin, whatever its state; raises PluginError where a local file cannot be used."""
        return list(self._plugins)

    def components(self) -> list[Component]:
        """Every component that could be loaded, those in conflict included."""
        return [component for plugin in self._plugins for component in plugin.components]

    def find(self, kind: Kind, name: str) -> Component:
        """The one component of that name, or of that distribution:name, or else the one that was formerly called so.

        Raises UnknownComponentError where there is none, PluginError where several distributions offer the name.
        """
        of_kind = [component for component in self.components() if component.kind == kind]
        distribution, _, bare = name.rpartition(":")
        found = [
            component
            for component in of_kind
            if component.name == bare and normal(distribution) in ("", normal(component.distribution))
        ]
        found = found or [c for c in of_kind if _was(c, normal(distribution), bare)]
        if len(found) == 1:
            return found[0]
        if found:
            raise PluginError(_conflict(found))
        if distribution.startswith(LOCAL_DISTRIBUTION):
            file = distribution.removeprefix(LOCAL_DISTRIBUTION)
            raise UnknownComponentError(
                f'{kind} "{bare}" comes from a local plugin, which is not run unasked. Where you trust it, add '
                f"--plugin {file} (in Python local_files=[...])"
            )
        names = [component.name for component in of_kind] + [component.use for component in of_kind]
        raise UnknownComponentError(
            f'no {kind} named "{name}". {self._installed(of_kind)}{did_you_mean(name, names)}{self._absent()}'
        )

    def component_of(self, config: Any, kind: Kind | None = None) -> Component:
        """The component whose Config `config` is an instance of; raises UnknownComponentError where there is none."""
        home = type(config).__module__

        def distance(component: Component) -> tuple[bool, bool]:
            module = component.path.partition(":")[0]
            return module != home, module.partition(".")[0] != home.partition(".")[0]

        candidates = [component for component in self.components() if kind in (None, component.kind)]
        for component in sorted(candidates, key=distance):
            try:
                cls = component.load()  # nearest module first, so that mostly nothing else is imported
            except PluginError:
                continue
            if getattr(cls, "Config", None) is type(config):
                return component
        raise UnknownComponentError(
            f"no {kind or 'component'} has the Config {home}.{type(config).__qualname__}. {self._installed(candidates)}"
        )

    @staticmethod
    def _installed(components: Sequence[Component]) -> str:
        known = [f"{c.name} ({c.distribution} {c.version})" for c in sorted(components, key=lambda c: c.name)]
        return f"Installed: {', '.join(known) or 'none'}."

    def _absent(self) -> str:
        absent = [f"{plugin} ({plugin.state})" for plugin in self._plugins if plugin.state not in ("ok", "conflict")]
        return f" Not loaded: {', '.join(absent)}." if absent else ""

    @cached_property
    def _plugins(self) -> tuple[Plugin, ...]:
        plugins = [installed_plugin(point, self._disabled) for point in metadata.entry_points(group="lmkit")]
        plugins.sort(key=lambda plugin: (plugin.distribution, plugin.module))
        for plugin in plugins:
            if plugin.state in ("failed", "incompatible"):
                warnings.warn(plugin.reason, stacklevel=3)
        for name in sorted(self._disabled - {normal(plugin.distribution) for plugin in plugins}):
            warnings.warn(f'{DISABLE} names "{name}", which is no installed plugin', stacklevel=3)
        for file in self._local_files:
            plugin = local_plugin(file)
            if plugin.state != "ok":
                raise PluginError(plugin.reason)
            plugins.append(plugin)
        return tuple(_with_conflicts(plugins))


@cache
def default_registry() -> Registry:
    """The registry of what is installed, without local files."""
    return Registry()


def plugins() -> list[Plugin]:
    """Every installed plugin with its version, state and components."""
    return default_registry().plugins()


def _was(component: Component, distribution: str, name: str) -> bool:
    """Whether a component had this name before; it is imported to be asked."""
    try:
        formerly = vars(component.load()).get("formerly", ())  # of the class itself, not of one that it is made from
    except PluginError:
        return False
    for former in formerly:
        owner, _, bare = former.rpartition(":")
        if bare == name and distribution in ("", normal(owner or component.distribution)):
            return True
    return False


def _with_conflicts(plugins: Sequence[Plugin]) -> Iterator[Plugin]:
    offers: dict[tuple[Kind, str], list[Component]] = defaultdict(list)
    for plugin in plugins:
        for component in plugin.components:
            offers[component.kind, component.name].append(component)
    for plugin in plugins:
        rivals = [found for c in plugin.components if len(found := offers[c.kind, c.name]) > 1]
        if not rivals:
            yield plugin
            continue
        components = tuple(
            attrs.evolve(c, use=f"{c.distribution}:{c.name}") if len(offers[c.kind, c.name]) > 1 else c
            for c in plugin.components
        )
        yield attrs.evolve(plugin, state="conflict", reason=_conflict(rivals[0]), components=components)


def _conflict(found: Sequence[Component]) -> str:
    who = " and ".join(f"{c.distribution} {c.version}" for c in found)
    choices = " or ".join(f'"{c.distribution}:{c.name}"' for c in found)
    return (
        f'{len(found)} plugins offer {found[0].kind} "{found[0].name}": {who}. '
        f"Write {choices}, or disable one with {DISABLE}={found[0].distribution}"
    )
