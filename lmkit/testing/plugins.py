"""Checks of a whole plugin: its module is light, its hooks are valid, and each of its components can be imported."""

from __future__ import annotations

import importlib
import subprocess
import sys
from functools import cached_property

import attrs

from lmkit.config import describe
from lmkit.errors import PluginError
from lmkit.registry import Component, Plugin, Registry
from lmkit.registry.discovery import imported, normal
from lmkit.testing.check import Checks, DoesNotApply, expect

HEAVY = ("torch", "transformers", "datasets", "tokenizers", "pandas")
"""What a plugin's module may not import: listing plugins would pay for it."""


@attrs.frozen(eq=False)
class PluginSubject:
    """A plugin by the name of its distribution or of its module, installed or not."""

    name: str

    @cached_property
    def plugin(self) -> Plugin:
        found = Registry().plugins()
        named = [p for p in found if self.name == p.module or normal(self.name) == normal(p.distribution)]
        if named:
            return named[0]
        return imported(Plugin(self.name, "0", self.name), lambda: importlib.import_module(self.name))

    @property
    def components(self) -> tuple[Component, ...]:
        """What it offers; there is always something."""
        if not self.plugin.components:
            raise PluginError(self.plugin.reason or f"{self.plugin} offers no component")
        return self.plugin.components


CHECKS: Checks[PluginSubject] = Checks()


@CHECKS.add
def hooks_are_valid(subject: PluginSubject) -> None:
    """Its hooks exist, are marked, and return names with import paths; no other plugin has its names."""
    plugin = subject.plugin
    expect(plugin.state == "ok", f"the state ok of {plugin}", f"{plugin.state}: {plugin.reason}", "see the reason")
    expect(bool(plugin.components), "a component or more", "none", "a hook that returns an empty table")
    offered = [(component.kind, component.name) for component in plugin.components]
    twice = sorted({pair for pair in offered if offered.count(pair) > 1})
    expect(not twice, "each name once", twice, "a name in two tables")


@CHECKS.add
def its_module_is_light(subject: PluginSubject) -> None:
    """Importing its module imports no torch, so that listing plugins stays quick."""
    code = f"import importlib, sys; importlib.import_module({subject.plugin.module!r}); print(*sys.modules)"
    path = [entry for entry in sys.path if entry]
    code = f"import sys; sys.path[:0] = {path!r}; {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    expect(
        done.returncode == 0, f"{subject.plugin.module} to be imported", done.stderr.strip()[-300:], "a broken import"
    )
    heavy = sorted(set(HEAVY) & set(done.stdout.split()))
    expect(
        not heavy, "a module without heavy imports", f"{', '.join(heavy)}", "name classes as strings, import nothing"
    )


@CHECKS.add
def components_load(subject: PluginSubject) -> None:
    """Each component can be imported, calls itself by its name, and has all that its interface wants."""
    for component in subject.components:
        cls = component.load()
        expect(bool((cls.__doc__ or "").strip()), f"a docstring of {component}", "none", "say in a sentence what it is")


@CHECKS.add
def configs_are_described(subject: PluginSubject) -> None:
    """Each Config has a sentence under each field, and is made of defaults where no field is required."""
    compared = 0
    for component in subject.components:
        config = getattr(component.load(), "Config", None)
        if config is None:
            continue
        compared += 1
        fields = [field for field in attrs.fields(config) if field.init]
        silent = [field.alias for field in fields if field.alias not in describe(config)]
        expect(
            not silent, f"a sentence under each field of {component}'s Config", f"none under {silent}", "a docstring"
        )
        if all(field.default is not attrs.NOTHING for field in fields):
            try:
                config()
            except Exception as error:
                came = f"{type(error).__name__}: {error}"
                expect(False, f"{component}'s Config() to work", came, "defaults that contradict each other")
    if not compared:
        raise DoesNotApply("none of its components has a Config")
