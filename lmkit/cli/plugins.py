"""`lmkit plugins`: what is installed, and whether a component does what its interface promises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmkit.cli.answer import Answer
from lmkit.cli.command import LocalFiles

if TYPE_CHECKING:
    from lmkit.registry import Plugin


def list_plugins(*, local_files: LocalFiles) -> Answer:
    """List every component with its distribution, version and state."""
    from lmkit.registry import Registry

    plugins = Registry(local_files).plugins()
    components = [component for plugin in plugins for component in _components(plugin)]
    states = [
        {
            "distribution": plugin.distribution,
            "version": plugin.version,
            "module": plugin.module,
            "state": plugin.state,
            "reason": plugin.reason,
            "import_ms": round(plugin.import_ms, 2),
        }
        for plugin in plugins
    ]
    return Answer.of({"components": components, "plugins": states}, *_lines(components, plugins))


def _components(plugin: Plugin) -> Iterator[dict[str, Any]]:
    for component in plugin.components:
        yield {
            "kind": component.kind,
            "name": component.name,
            "use": component.use,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "state": plugin.state,
            "reason": plugin.reason,
        }


def _lines(components: Sequence[dict[str, Any]], plugins: Sequence[Plugin]) -> Iterator[str]:
    if not plugins:
        yield "No plugin is installed."
        return
    keys = ("kind", "use", "distribution", "version", "state")
    rows = [("kind", "name", "distribution", "version", "state"), *(tuple(c[key] for key in keys) for c in components)]
    rows += [("-", "-", p.distribution, p.version, p.state) for p in plugins if not p.components]
    widths = [max(len(row[column]) for row in rows) for column in range(len(keys))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for plugin in plugins:
        if plugin.reason:
            yield f"{plugin.state}: {plugin.reason}"


def check_plugin(
    name: Annotated[str, typer.Argument(help="A component, or distribution:name.", show_default=False)],
    *,
    local_files: LocalFiles,
) -> Answer:
    """Run the conformance kit on a component."""
    from lmkit.testing import run_checks

    raise NotImplementedError(name, local_files, run_checks)
