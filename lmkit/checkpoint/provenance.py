"""Provenance: whether what is installed can read what a checkpoint's components wrote.

Another version is told, not refused: a component raises its `state_version` when its files change their meaning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmkit.errors import CheckpointError, UnknownComponentError

if TYPE_CHECKING:
    from lmkit.registry import Component

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_VERSION = re.compile(r"(\d{1,9})(\.\d{1,9})?")


def check_components(
    saved: Sequence[Mapping[str, Any]], find: Callable[[Any, str], Component], *, source: str
) -> list[str]:
    """A sentence for each component of a checkpoint that is installed in another version than the one it was saved by.

    `find` is a registry's: kind, "distribution:name" -> Component.  Raises CheckpointError, starting with `source`, for
    a component that is not installed, and for one whose files only a newer version can read.
    """
    return [sentence for record in saved for sentence in _differences(record, find, source)]


def _differences(record: Mapping[str, Any], find: Callable[[Any, str], Component], source: str) -> list[str]:
    what = f'{record["kind"]} "{record["name"]}"'
    then = f"{record['distribution']} {record['version']}"
    try:
        component = find(record["kind"], f"{record['distribution']}:{record['name']}")
    except UnknownComponentError as error:
        raise CheckpointError(f"{source}: {what} of {then} is needed: {error} To get it: {_remedy(record)}") from error
    now = f"{component.distribution} {component.version}"
    reads = getattr(component.load(), "state_version", 1)
    if record["state_version"] > reads:
        raise CheckpointError(
            f"{source}: {what} was saved in state version {record['state_version']} by {then}, "
            f"and {now} reads up to {reads}. To get that: {_remedy(record)}"
        )
    if component.name != record["name"]:
        return [f'{what} was saved by {then} and is now "{component.name}" of {now}']
    return [f"{what} was saved by {then} and is now of {now}"] if now != then else []


def _remedy(record: Mapping[str, Any]) -> str:
    """How to get the component; nothing of a checkpoint goes into a command but a distribution's name and numbers."""
    name, version = _DISTRIBUTION.fullmatch(record["distribution"]), _VERSION.match(record["version"])
    if name and version:
        return f'pip install "{name[0]}=={version[0]}.*"'
    return "give its file with --plugin"
