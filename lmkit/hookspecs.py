"""The six hooks by which a distribution adds to lmkit, and the marker for their implementations.

A plugin is a module named in the entry-point group "lmkit"; it imports nothing heavy:

    from lmkit import hookimpl

    @hookimpl
    def lmkit_encoders():
        return {"mixer": "my_package.mixer:Mixer"}

The four component hooks return names and import paths, so that listing plugins imports no component.
"""

from __future__ import annotations

from collections.abc import Mapping

import pluggy

PROJECT = "lmkit"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def lmkit_tokenizers() -> Mapping[str, str]:
    """Tokenizers: {name: "module:Class"}; asked when components are listed or one is looked up."""
    raise NotImplementedError


@hookspec
def lmkit_encoders() -> Mapping[str, str]:
    """Encoders: {name: "module:Class"}."""
    raise NotImplementedError


@hookspec
def lmkit_objectives() -> Mapping[str, str]:
    """Objectives: {name: "module:Class"}."""
    raise NotImplementedError


@hookspec
def lmkit_tasks() -> Mapping[str, str]:
    """Tasks: {name: "module:Class"}."""
    raise NotImplementedError


@hookspec
def lmkit_formats() -> Mapping[str, str]:
    """Formats that a run can be exported to and imported from: {name: "module:Class"}.

    Each is a `lmkit.interfaces.Format`, made without arguments when `lmkit export` or `lmkit import` names it.
    """
    raise NotImplementedError


@hookspec
def lmkit_reporters() -> Mapping[str, str]:
    """Observers of a run's events, which cannot change training: {name: "module:Class"}.

    Each is made of the run's folder, `Class(folder)`, and called with every event of `lmkit.engine.events`.
    """
    raise NotImplementedError
