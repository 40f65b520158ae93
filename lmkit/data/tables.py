"""Tables: rows of .jsonl, .json, .csv, .tsv, .parquet, .conll and `datasets` folders, each knows where it stood.

They are read with one check for all formats; a library's own reader would give up a whole file for one bad row, or let
bad bytes pass in silence.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmkit.data.conll import read_conll
from lmkit.data.files import File
from lmkit.data.json_rows import read_json
from lmkit.data.lines import read_lines
from lmkit.data.tally import Tally
from lmkit.errors import DataError

_ROWS_AT_ONCE = 64


class Row(dict[str, Any]):
    """A row, and its `place`: "file:line", or "file:row" where the format has no lines."""

    def __init__(self, values: dict[str, Any], place: str) -> None:
        super().__init__(values)
        self.place = place


def read_table(file: File, tally: Tally, *, longest_bytes: int, column: str | None = None) -> Iterator[Row]:
    """The good rows of a table in order; bad ones are left out through `tally`.

    Where `column` is given it must be there: raises DataError for a table whose header lacks it.
    """
    match file.format:
        case "jsonl":
            rows = _jsonl(file.path, tally, longest_bytes)
        case "csv" | "tsv":
            rows = _csv(file.path, tally, longest_bytes, "\t" if file.format == "tsv" else ",", column)
        case "parquet":
            rows = _arrow(_parquet(file.path, column), file.path, tally)
        case "conll":
            rows = (Row(values, place) for place, values in read_conll(file.path, tally, longest_bytes))
        case "json":
            rows = (Row(values, place) for place, values in read_json(file.path, tally))
        case _:
            rows = _arrow(_dataset(file.path, column), file.path, tally)
    for row in rows:
        if problem := bad_text(row):
            tally.leave_out("bad text", f"{row.place}: {problem}", "Repair the row")
        else:
            yield row


def bad_text(row: Row) -> str | None:
    """What is wrong with the characters of a row's texts, if something is."""
    try:
        return _bad_text(row)
    except RecursionError:
        return "values that are nested too deep"


def _bad_text(value: Any) -> str | None:
    if isinstance(value, str):
        if "\0" in value:
            return "a NUL character, which no text has"
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return "bytes that are not UTF-8, or half of a surrogate pair"
        return None
    if isinstance(value, dict):
        return _bad_text([*value.keys(), *value.values()])
    if isinstance(value, list):
        return next(filter(None, map(_bad_text, value)), None)
    return None


def _jsonl(path: Path, tally: Tally, longest_bytes: int) -> Iterator[Row]:
    for number, line in read_lines(path, tally, longest_bytes=longest_bytes):
        if line.isspace():
            continue
        try:
            row = parse_row(line, f"{path}:{number}")
        except DataError as error:
            tally.leave_out("bad JSON", str(error), "Repair the row")
        else:
            yield row


def parse_row(line: str, place: str) -> Row:
    """The row that a JSON line holds; raises DataError with the place where it holds none."""
    try:
        values = json.loads(line, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except RecursionError:
        raise DataError(f"{place}: JSON that is nested too deep") from None
    except ValueError as error:
        raise DataError(f"{place}: not a JSON object: {error}") from None
    if not isinstance(values, dict):
        found = type(values).__name__
        raise DataError(f'{place}: not a JSON object: a {found}, where {{"name": value, ...}} is wanted')
    return Row(values, place)


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return values


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _csv(path: Path, tally: Tally, longest_bytes: int, delimiter: str, column: str | None) -> Iterator[Row]:
    taken: list[int] = []  # numbers of the lines that the current record is made of

    def lines() -> Iterator[str]:
        for number, line in read_lines(path, tally, longest_bytes=longest_bytes, keep_bad_bytes=True):
            taken.append(number)
            yield line

    csv.field_size_limit(longest_bytes)
    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        taken.clear()
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            problem = f"{path}:{taken[0]}: not CSV: {error}"
            if header is None or "field limit" in str(error):  # where the next row begins nobody can tell
                raise DataError(f"{problem}. Repair the row") from None
            tally.leave_out("bad CSV", problem, "Repair the row")
            continue
        if taken[-1] - taken[0] >= len(taken):
            problem = f"{path}:{taken[0]}: a line of this record was left out"
            tally.leave_out("bad CSV", problem, "Repair the row")
        elif not fields:  # an empty line is no row
            continue
        elif header is None:
            header = fields
            _check_header(header, path, column)
        elif len(fields) != len(header):
            problem = f"{path}:{taken[0]}: {len(fields)} fields, where the header has {len(header)}"
            tally.leave_out("bad CSV", problem, "Repair the row")
        else:
            yield Row(dict(zip(header, fields, strict=True)), f"{path}:{taken[0]}")
    if header is None:
        raise DataError(f"{path}: empty, where a line with the columns' names is wanted")


def _check_header(header: list[str], path: Path, column: str | None) -> None:
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise DataError(f"{path}:1: column {twice!r} is there twice. Rename one")
    if column is not None and column not in header:
        raise DataError(f"{path}: {no_column(column, header)}")


def no_column(column: str, columns: Iterable[str]) -> str:
    """The sentence for a table or row that lacks `column`."""
    return f'no column "{column}" among {", ".join(columns) or "none"}. Say which to read with column = ... in [data]'


def _parquet(path: Path, column: str | None) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
            _check_header(file.schema_arrow.names, path, column)
            yield from file.iter_batches(_ROWS_AT_ONCE, columns=None if column is None else [column])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as parquet: {error}") from None


def _dataset(path: Path, column: str | None) -> Iterator[Any]:
    import datasets

    try:
        rows = datasets.load_from_disk(path).with_format("arrow")
    except Exception as error:  # the library checks nothing: a damaged file raises whatever it happens to run into
        raise DataError(f"{path}: cannot be read as a `datasets` folder: {error}") from None
    _check_header(rows.column_names, path, column)
    try:
        yield from (rows if column is None else rows.select_columns([column])).iter(_ROWS_AT_ONCE)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a `datasets` folder: {error}") from None


def _arrow(batches: Iterator[Any], path: Path, tally: Tally) -> Iterator[Row]:
    number = 0
    names: Mapping[str, Sequence[str]] | None = None
    for batch in batches:
        names = class_names(batch.schema) if names is None else names
        for offset in range(0, len(batch), _ROWS_AT_ONCE):
            part = batch.slice(offset, _ROWS_AT_ONCE)
            for values in _values(part):
                number += 1
                if values is None:
                    problem = f"{path}:{number}: bytes that are not UTF-8"
                    tally.leave_out("bad text", problem, "Repair the row")
                else:
                    named = {column: _named(values[column], names[column]) for column in names}
                    yield Row(values | named, f"{path}:{number}")


def class_names(schema: Any) -> dict[str, Sequence[str]]:
    """Column -> names of its classes, where `datasets` has noted in a schema that numbers stand for them."""
    if b"huggingface" not in (schema.metadata or {}):
        return {}
    import datasets

    found = {}
    for column, feature in datasets.Features.from_arrow_schema(schema).items():
        inner = getattr(feature, "feature", feature)  # of a list, such as the tags of words
        if isinstance(inner, datasets.ClassLabel) and column in schema.names:
            found[column] = inner.names
    return found


def _named(value: Any, names: Sequence[str]) -> Any:
    """Numbers of classes as their names; -1, which is no class, as None."""
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else None


def _values(batch: Any) -> list[dict[str, Any] | None]:
    """Rows of a batch; None for one that cannot be decoded, since arrow fails for all of a batch at once."""
    try:
        return batch.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        return [None] if len(batch) == 1 else [row for i in range(len(batch)) for row in _values(batch.slice(i, 1))]
