"""Reading: a TOML file, or plain data, and assignments over it -> closed attrs classes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lmkit.config.strict import Typed, Wrong, got, strict_converter
from lmkit.errors import ConfigError

T = TypeVar("T")

_MOST_BYTES = 1_000_000
_MOST_NESTING = 32
_WIDTH = 120
_KEY = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


class Problems(list[str]):
    """Sentences about one source, gathered over several calls."""

    def raise_if_any(self, source: str) -> None:
        """Raises ConfigError that names `source` and holds every sentence."""
        if self:
            raise ConfigError(source, self)


def read(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; raises ConfigError for one that is absent, too large, too deep or no TOML."""

    def refuse(problem: str) -> ConfigError:
        return ConfigError(str(path), [problem])

    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise refuse("no such file") from None
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}") from None
    if len(content) > _MOST_BYTES:
        raise refuse("larger than 1 MB, which no config is")
    try:
        data = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise refuse(f"not UTF-8: byte {error.object[error.start]:#04x} at {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).removesuffix(")").rpartition(" (at ")
        raise refuse(f"{where}: {what}") from None
    except ValueError as error:  # an int of more digits than Python reads
        raise refuse(str(error).partition(":")[0]) from None
    except RecursionError:
        data = None
    if data is None or _deeper(data, _MOST_NESTING):
        raise refuse(f"nested deeper than {_MOST_NESTING} levels")
    return data


def structure(
    cls: type[T], data: Any, *, source: str, path: str = "", owner: str | None = None, folder: Path | None = None
) -> T:
    """A `cls` from plain data; raises ConfigError with every problem. Parameters as in `collect`."""
    problems = Problems()
    config = collect(cls, data, problems, path=path, owner=owner, folder=folder)
    problems.raise_if_any(source)
    assert config is not None
    return config


def collect(
    cls: type[T],
    data: Any,
    problems: Problems,
    *,
    path: str = "",
    owner: str | None = None,
    folder: Path | None = None,
) -> T | None:
    """A `cls` from plain data, or None after adding all that is wrong to `problems`.

    `path` is where `data` stands in its source, `owner` the component whose Config it is; both are told in messages.
    Fields of type Path are made absolute against `folder`.
    """
    try:
        config: T = strict_converter(folder).structure(data, cls)
        return config
    except Wrong as wrong:
        problems += [flaw.sentence(path, owner) for flaw in wrong.flaws]
        return None


def override(data: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A copy of `data` with assignments such as "encoder.layers=6"; a value that is no TOML is a str.

    Relative paths among them start at the working directory, wherever those of `data` do.

    Raises ConfigError for what is no assignment, or goes through a value that is no table.
    """
    problems = Problems()
    result = dict(data)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        path = path.strip()
        if not equals or not _KEY.fullmatch(path):
            problems.append(f"expected key=value, such as encoder.layers=6, got {assignment!r}")
            continue
        *parents, key = path.split(".")
        table = result
        for depth, parent in enumerate(parents, 1):
            inner = table.get(parent, {})
            if not isinstance(inner, Mapping):
                problems.append(f"{path}: {'.'.join(parents[:depth])} is not a table but {got(inner)}")
                break
            table[parent] = dict(inner)
            table = table[parent]
        else:
            table[key] = _value(text.strip())
    problems.raise_if_any("--set")
    return result


def _value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return Typed(text)
    plain = parsed.keys() == {"value"} and isinstance(parsed["value"], (bool, int, float, str, list, dict))
    return _typed(parsed["value"] if plain else text)


def _typed(value: Any) -> Any:
    match value:
        case str():
            return Typed(value)
        case list():
            return [_typed(item) for item in value]
        case dict():
            return {key: _typed(item) for key, item in value.items()}
    return value


def _deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inner is not None and (levels == 0 or any(_deeper(item, levels - 1) for item in inner))
