"""`lmkit plugins`: what is installed, and whether a component does what its interface promises."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmkit.cli.answer import Answer
from lmkit.cli.command import ConfigOptions, LocalFiles

if TYPE_CHECKING:
    from lmkit.registry import Component, Plugin


_MEANS = {
    "objective x task": " (the task answers with what the objective trained, without fine-tuning)",
    "task x encoder": " (the task can be fine-tuned on the encoder)",
}


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
    name: Annotated[str, typer.Argument(help="A component or a distribution.", show_default=False)],
    *,
    rows: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rows, four or more, for a task that wants labels.")
    ] = None,
    options: ConfigOptions,
    local_files: LocalFiles,
    quiet: bool = False,
) -> Answer:
    """Run the conformance kit on a component, or on all of a distribution."""
    from lmkit.errors import ConfigError
    from lmkit.registry import Registry
    from lmkit.run.predict import good_rows_of
    from lmkit.testing.conformance import configured, run_checks

    given = None if rows is None else list(good_rows_of(rows))

    plugins = Registry(local_files).plugins()
    reports = []
    subjects = _subjects(name, plugins)
    if options and len(subjects) > 1:
        raise ConfigError("--set", [f"expected one component, {name} has {len(subjects)}: name one of them"])
    for subject in subjects:
        if isinstance(subject, str):
            report = run_checks(subject)
        else:
            config = configured(subject, options) if options else None
            report = run_checks(subject.load(), config, rows=given if subject.kind == "task" else None)
        if not quiet:
            sys.stderr.write(f"{report}\n")
        reports.append(report)
    failed = [f"{report.component}: {result.name}: {result.reason}" for report in reports for result in report.failures]
    ran = sum(report.ran for report in reports)
    passed = all(report.passed for report in reports)
    data = {"passed": passed, "ran": ran, "failed": len(failed), "reports": reports}
    verdict = f"{name}: {ran} checks ran, {len(failed)} failed"
    has_task = any(not isinstance(subject, str) and subject.kind == "task" for subject in subjects)
    if given is None and has_task and any("DataError: " in reason for reason in failed):
        verdict += ". A task that wants more than a text needs rows: --rows FILE"
    offered = [subject for subject in subjects if not isinstance(subject, str)]
    return Answer.of(data, *failed, *_unread(offered, plugins), verdict, status=0 if passed else 1)


def _unread(subjects: Sequence[Component], plugins: Sequence[Plugin]) -> Iterator[str]:
    """A line for each objective whose head no installed task reads: it trains, and nobody can ask it anything."""
    from lmkit.errors import PluginError

    kinds: set[str] = set()
    for component in (c for plugin in plugins for c in plugin.components if c.kind == "task"):
        with suppress(PluginError):  # which is told where it is asked for
            kinds |= set(component.load().reads)
    for objective in (subject.load() for subject in subjects if subject.kind == "objective"):
        if objective.head_kind not in kinds:
            yield (
                f'note: no installed task reads heads of kind "{objective.head_kind}", but {", ".join(sorted(kinds))}: '
                f"checks of next tokens and masks did not apply, and `lmkit predict` needs a task of yours"
            )


def plugins_matrix(
    name: Annotated[str | None, typer.Argument(help="Of one component only.", show_default=False)] = None,
    *,
    local_files: LocalFiles,
) -> Answer:
    """Say which components fit together, and why the others do not."""
    from lmkit.registry import Registry
    from lmkit.run.matrix import matrix

    found = matrix(Registry(local_files), name)
    return Answer.of(found, *_matrix_lines(found))


def _matrix_lines(found: Mapping[str, Any]) -> Iterator[str]:
    for name, pairs in found["tables"].items():
        if not pairs:
            continue
        columns = list(dict.fromkeys(pair.second for pair in pairs))
        rows = list(dict.fromkeys(pair.first for pair in pairs))
        fits = {(pair.first, pair.second): not pair.reason for pair in pairs}
        width = max(map(len, rows), default=0)
        yield f"{name}{_MEANS.get(name, '')}: {found['fitting'][name]} of {len(pairs)} fit"
        yield f"  {'':{width}}  {'  '.join(columns)}".rstrip()
        for row in rows:
            cells = ("yes" if fits[row, column] else "-" for column in columns)
            marks = "  ".join(cell.ljust(len(column)) for cell, column in zip(cells, columns, strict=True))
            yield f"  {row:{width}}  {marks}".rstrip()
        reasons = (pair.reason for pair in pairs if pair.reason)
        if name == "objective x task":  # once a task, whatever the objective's head is
            reasons = (reason.partition("; ")[0] for reason in reasons)
        yield from (f"  - {reason}" for reason in dict.fromkeys(reasons))
    if "triples" in found:
        yield f"{found['triples']} of tokenizer x encoder x objective fit"


def new_plugin(
    kind: Annotated[str, typer.Argument(help="tokenizer, encoder, objective or task.", show_default=False)],
    name: Annotated[str, typer.Argument(help="What a config calls it, such as my-encoder.", show_default=False)],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="A new folder; by default NAME.")
    ] = None,
) -> Answer:
    """Write a package with a component that passes the kit."""
    from lmkit.run.package import new_package

    folder = output or Path(name)
    files = new_package(kind, name, folder)
    return Answer.of(
        {"folder": str(folder), "files": files},
        f"wrote {folder}: {', '.join(str(file.relative_to(folder)) for file in files)}",
        f"Next: pip install -e '{folder}[test]' && lmkit plugins check {name}",
    )


def _subjects(name: str, plugins: Sequence[Plugin]) -> list[Component | str]:
    """The components of that name, or a distribution's name and all that it offers."""
    from lmkit.errors import UnknownComponentError
    from lmkit.registry import INTERFACES

    offered = [c for plugin in plugins for c in plugin.components if c.kind in INTERFACES]
    if found := [c for c in offered if name in (c.name, c.use, f"{c.distribution}:{c.name}")]:
        return list(found)
    if any(plugin.distribution == name for plugin in plugins):
        return [name, *(c for c in offered if c.distribution == name)]
    known = sorted({c.use for c in offered} | {plugin.distribution for plugin in plugins})
    raise UnknownComponentError(f'no component or distribution is named "{name}". Installed: {", ".join(known)}')
