"""Strict: the hooks by which cattrs builds closed attrs classes from plain data, telling all that is wrong at once.

cattrs finds the hook for each type; the hooks are ours, because cattrs is lax by default (1.7 becomes 1, 3 becomes
"3", a str is a list of letters) and its messages show no value.
"""

from __future__ import annotations

import math
import os
import re
import reprlib
import types
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import cattrs

from lmkit.spelling import did_you_mean

Hook = Callable[[Any, Any], Any]

_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})")


class Typed(str):
    """Text of a command line, where a relative path starts at the working directory, not at a file's folder."""


@attrs.frozen
class Flaw:
    """One thing that is wrong, at `where` below the value that a hook was given (".heads", "[2]")."""

    where: str
    what: str
    advice: str = ""
    names_owner: bool = False

    def sentence(self, path: str, owner: str | None) -> str:
        place = f"{path}{self.where}".removeprefix(".")
        whose = f" for {owner}" if owner and self.names_owner else ""
        return f"{place}: {self.what}{whose}{self.advice}" if place else f"{self.what}{whose}{self.advice}"


class Wrong(Exception):
    """A value that its type cannot take."""

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        super().__init__()
        self.flaws = flaws

    def below(self, where: str) -> Iterator[Flaw]:
        return (attrs.evolve(flaw, where=where + flaw.where) for flaw in self.flaws)


def _mismatch(wanted: str, value: Any, advice: str = "") -> Wrong:
    return Wrong([Flaw("", f"expected {wanted}, got {got(value)}", advice)])


def got(value: Any) -> str:
    kind = {dict: "table", type(None): "nothing", Typed: "str"}.get(type(value), type(value).__name__)
    return kind if value is None else f"{kind} {_clipped.repr(value)}"


_clipped = reprlib.Repr()
_clipped.maxstring = _clipped.maxother = 60


def locate(text: str, folder: Path | None) -> Path:
    """An absolute path: ~ and $VARIABLES are filled in, and what is relative starts at `folder`.

    Raises ValueError for a variable that is not set.
    """
    expanded = os.path.expandvars(text)
    if unset := _VARIABLE.search(expanded):
        raise ValueError(f"environment variable {unset[1].strip('{}')} is not set, in {text!r}")
    return Path(os.path.normpath((folder or Path()).absolute() / os.path.expanduser(expanded)))


@cache
def strict_converter(folder: Path | None) -> cattrs.Converter:
    """The converter whose paths start at `folder`; what it cannot build raises Wrong."""
    converter = cattrs.Converter()
    for scalar in (bool, int, float, str):
        converter.register_structure_hook(scalar, _scalar_hook(scalar))
    converter.register_structure_hook(Path, _path_hook(folder))
    converter.register_structure_hook_func(_is_literal, _literal)
    for predicate, factory in (
        (_is_sequence, _sequence_hook),
        (_is_mapping, _mapping_hook),
        (_is_union, _union_hook),
        (attrs.has, _class_hook),
    ):
        converter.register_structure_hook_factory(predicate, factory)
    return converter


def _scalar_hook(scalar: type) -> Hook:
    def structure(value: Any, _: Any) -> Any:
        value = _plain(value)
        whole = type(value) is int and scalar is float and abs(value) < 2**1000
        if type(value) is not scalar and not whole:
            raise _mismatch(scalar.__name__, value)
        if scalar is float and not math.isfinite(value):
            raise Wrong([Flaw("", f"expected a finite number, got {value}")])
        return scalar(value)

    return structure


def _path_hook(folder: Path | None) -> Hook:
    def structure(value: Any, _: Any) -> Path:
        if not isinstance(value, (str, Path)):
            raise _mismatch("path", value)
        try:
            return locate(str(value), None if isinstance(value, Typed) else folder)
        except ValueError as error:
            raise Wrong([Flaw("", str(error))]) from None

    return structure


def _plain(value: Any) -> Any:
    return str(value) if type(value) is Typed else value


def _literal(value: Any, literal: Any) -> Any:
    value = _plain(value)
    for choice in get_args(literal):
        if type(choice) is type(value) and choice == value:
            return choice
    advice = did_you_mean(value, [c for c in get_args(literal) if isinstance(c, str)]) if type(value) is str else ""
    raise _mismatch(_wanted(literal), value, advice and f".{advice}")


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _is_sequence(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, (Sequence, Set)) and not issubclass(origin, str)


def _is_mapping(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _sequence_hook(kind: Any, converter: cattrs.BaseConverter) -> Hook:
    origin = get_origin(kind) or kind
    build = next((known for known in (list, frozenset, set) if origin is known), tuple)
    arguments = get_args(kind) or (Any,)
    fixed = issubclass(origin, tuple) and bool(get_args(kind)) and arguments[-1] != ...

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, (list, tuple, Set)) or (fixed and len(value) != len(arguments)):
            raise _mismatch(_wanted(kind), value)
        flaws: list[Flaw] = []
        items = []
        for index, item in enumerate(value):
            try:
                items.append(converter.structure(item, arguments[index if fixed else 0]))
            except Wrong as wrong:
                flaws += wrong.below(f"[{index}]")
        if flaws:
            raise Wrong(flaws)
        return build(items)

    return structure


def _mapping_hook(kind: Any, converter: cattrs.BaseConverter) -> Hook:
    inner = (*get_args(kind), Any, Any)[1]

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _mismatch(_wanted(kind), value)
        flaws: list[Flaw] = []
        table = {}
        for key, item in value.items():
            try:
                table[converter.structure(key, str)] = converter.structure(item, inner)
            except Wrong as wrong:
                flaws += wrong.below(f".{key}")
        if flaws:
            raise Wrong(flaws)
        return table

    return structure


def _union_hook(kind: Any, converter: cattrs.BaseConverter) -> Hook:
    members = [member for member in get_args(kind) if member is not types.NoneType]

    def structure(value: Any, _: Any) -> Any:
        if value is None and types.NoneType in get_args(kind):
            return None
        flaws: list[Flaw] = []
        given = type(_plain(value))
        for member in sorted(members, key=lambda m: m is not given):  # 3 stays an int where int is a member
            try:
                return converter.structure(value, member)
            except Wrong as wrong:
                fits = member is given or (member is Path and isinstance(value, str)) or wrong.flaws[0].where
                if len(members) == 1 or fits:  # the right shape, but wrong
                    flaws += wrong.flaws
        raise Wrong(flaws) if flaws else _mismatch(_wanted(kind), value)

    return structure


def _class_hook(cls: Any, converter: cattrs.BaseConverter) -> Hook:
    hints = get_type_hints(cls)
    fields = {field.alias: field for field in attrs.fields(cls) if field.init}

    def structure(data: Any, _: Any) -> Any:
        if isinstance(data, cls):
            return data
        if not isinstance(data, Mapping):
            raise _mismatch("table", data)
        flaws: list[Flaw] = []
        values = {}
        for key, value in data.items():
            if key not in fields:
                advice = did_you_mean(key, fields) or f" Known: {', '.join(fields) or 'none'}"
                flaws.append(Flaw(f".{key}", "unknown key", f".{advice}", names_owner=True))
                continue
            try:
                values[key] = converter.structure(value, hints[fields[key].name])
            except Wrong as wrong:
                flaws += wrong.below(f".{key}")
        for key, field in fields.items():
            if field.default is attrs.NOTHING and key not in data:
                flaws.append(Flaw(f".{key}", f"required, {_wanted(hints[field.name])}", names_owner=True))
        flaws += _refused(cls, values)
        if flaws:
            raise Wrong(flaws)
        try:
            return cls(**values)
        except (ValueError, TypeError) as error:
            raise Wrong([Flaw("", _message(error))]) from None

    return structure


def _refused(cls: Any, values: Mapping[str, Any]) -> Iterator[Flaw]:
    """What the validators of `cls` say of `values`: of each, where attrs itself stops at the first."""
    draft = object.__new__(cls)  # validators may read other fields of it
    for field in attrs.fields(cls):
        value = values.get(field.alias, field.default)
        if value is not attrs.NOTHING and not isinstance(value, attrs.Factory):  # type: ignore[arg-type]
            object.__setattr__(draft, field.name, value)
    for field in attrs.fields(cls):
        if field.validator is None or field.converter is not None or field.alias not in values:
            continue  # what has a converter is checked when the class is built
        try:
            field.validator(draft, field, values[field.alias])
        except AttributeError:
            continue  # it reads a field that is missing or wrong, which is told already
        except (ValueError, TypeError) as error:
            yield Flaw(f".{field.alias}", _message(error))


def _message(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__  # attrs adds the attribute as further arguments


def _wanted(kind: Any) -> str:
    """What a type is called in a message: "int or "auto"", "list of str", "table"."""
    if _is_union(kind):
        return _either([_wanted(member) for member in get_args(kind) if member is not types.NoneType])
    if _is_literal(kind):
        return _either([f'"{c}"' if isinstance(c, str) else repr(c).lower() for c in get_args(kind)])
    if attrs.has(get_origin(kind) or kind):
        return "table"
    if _is_mapping(kind):
        return f"table of {_wanted((*get_args(kind), Any, Any)[1])}"
    if _is_sequence(kind):
        items = [_wanted(item) for item in get_args(kind) if item is not Ellipsis]
        return f"list of {', '.join(items) or 'any value'}"
    if kind is Any:
        return "any value"
    return "path" if kind is Path else str(getattr(kind, "__name__", kind))


def _either(choices: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))
