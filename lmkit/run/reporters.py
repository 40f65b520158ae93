"""Reporters: what plugins offer to watch a run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from lmkit.engine.events import Observer
from lmkit.errors import PluginError
from lmkit.registry import Registry
from lmkit.registry.component import told
from lmkit.report.apart import Apart
from lmkit.report.console import guarded


def reporters(registry: Registry, folder: Path, named: Sequence[str]) -> Iterator[Observer]:
    """What plugins offer to watch a run in `folder`, each made of its path; one that cannot be made is warned about.

    Those that say `only_where_named` are made where they are among `named`; raises PluginError where one of these
    cannot be.
    """
    wanted = [registry.find("reporter", name) for name in named]
    for component in registry.components():
        if component.kind == "reporter":
            asked = component in wanted
            try:
                reporter = component.load()
                if asked or not getattr(reporter, "only_where_named", False):
                    yield Apart(partial(_made, reporter, folder), component.name)
            except Exception as error:
                if asked:
                    raise PluginError(f"{component} cannot watch this run: {told(error)}") from error
                warnings.warn(f"{component} does not watch this run: {told(error)}", stacklevel=2)


def _made(reporter: Callable[[Path], Observer], folder: Path) -> Observer:
    return guarded(reporter(folder))
