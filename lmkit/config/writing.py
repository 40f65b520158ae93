"""Writing: configs -> plain data and TOML, bare or with each field's sentence beside it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import attrs
import cattrs
import tomli_w
from cattrs.gen import make_dict_unstructure_fn

from lmkit.errors import ConfigError

_WIDTH = 120


def unstructure(config: attrs.AttrsInstance) -> dict[str, Any]:
    """Plain data that `structure` turns into an equal config; None is left out, tuples and sets become lists.

    Raises ConfigError for a None that is not its field's default, which TOML cannot say.
    """
    tables: dict[str, Any] = _unstructurer().unstructure(config)
    return tables


def dumps(data: Mapping[str, Any]) -> str:
    """TOML text of plain data."""
    return tomli_w.dumps(data)


@cache
def describe(cls: type[Any]) -> Mapping[str, str]:
    """The sentence below each field of a Config, from its source, with the values that the field may have where those
    are listed in its type; fields without a sentence are left out.
    """
    sentences: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if attrs.has(base):
            try:
                source = inspect.getsource(base)
            except OSError:  # written at a prompt
                continue
            for before, after in pairwise(ast.parse(textwrap.dedent(source)).body[0].body):  # type: ignore[attr-defined]
                match before, after:
                    case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(value=str(sentence))):
                        sentences[name] = " ".join(sentence.split())
    fields = [field for field in attrs.fields(cls) if field.name in sentences]
    return {field.alias: " ".join([sentences[field.name], *_listed(cls, field.name)]) for field in fields}


def _listed(cls: type[Any], name: str) -> list[str]:
    """A sentence with the words that a field's type lists."""
    try:
        kind = get_type_hints(cls).get(name)
    except NameError:  # of a class that was made in a function
        return []
    kinds = [kind] if get_origin(kind) is Literal else get_args(kind)
    words = [str(word) for one in kinds if get_origin(one) is Literal for word in get_args(one)]
    return [f"One of {', '.join(words)}."] if len(words) > 1 else []


def commented(sections: Mapping[str, tuple[Mapping[str, Any], attrs.AttrsInstance | None]]) -> str:
    """TOML text with each field's sentence beside it; fields that are None are there as comments.

    Each table's name -> keys that no Config has, such as `use`, and the config; the name "" has the keys of no table.
    """
    blocks = []
    for name, (keys, config) in sections.items():
        fields = attrs.fields(type(config)) if config else ()
        values = unstructure(config) if config else {}
        sentences = describe(type(config)) if config else {}
        lines = [f"[{name}]"] if name else []
        inner = []
        for key, value in [*keys.items(), *((field.alias, values.get(field.alias)) for field in fields)]:
            text = _line(key, value)
            if text.startswith("["):  # a table of its own, which stands after the others
                inner.append(dumps({name: {key: value}} if name else {key: value}).rstrip())
            elif "\n" in text or len(f"{text:40}# {sentences.get(key, '')}") > _WIDTH:
                above = textwrap.wrap(sentences.get(key, ""), _WIDTH, initial_indent="# ", subsequent_indent="# ")
                lines += [*above, text]
            else:
                lines.append(f"{text:40}# {sentences[key]}" if key in sentences else text)
        blocks.append("\n".join([*lines, *inner]))
    return "\n\n".join(blocks) + "\n"


def _line(key: str, value: Any) -> str:
    if value is None:
        return f"# {key} ="
    if isinstance(value, (list, tuple)) and not any(isinstance(item, (list, tuple, dict)) for item in value):
        items = ", ".join(dumps({"": item}).removeprefix('"" = ').rstrip() for item in value)
        return dumps({key: ""}).replace('""\n', f"[{items}]")
    return dumps({key: value}).rstrip()


@cache
def _unstructurer() -> cattrs.Converter:
    converter = cattrs.Converter(
        use_alias=True, unstruct_collection_overrides={tuple: list, frozenset: sorted, set: sorted}
    )
    converter.register_unstructure_hook_func(lambda t: isinstance(t, type) and issubclass(t, Path), str)

    @converter.register_unstructure_hook_factory(attrs.has)
    def without_none(cls: Any) -> Callable[[Any], dict[str, Any]]:
        whole = make_dict_unstructure_fn(cls, converter, _cattrs_use_alias=True)
        defaults = {field.alias: field.default for field in attrs.fields(cls)}

        def unstructure(config: Any) -> dict[str, Any]:
            table = {key: value for key, value in whole(config).items() if value is not None}
            if unsaid := [key for key in defaults.keys() - table.keys() if defaults[key] is not None]:
                raise ConfigError(
                    cls.__qualname__, [f"{key}: None cannot be written to a file" for key in sorted(unsaid)]
                )
            return table

        return unstructure

    return converter
