"""JSON: rows of one large .json file, a list of objects or the questions of a file in SQuAD's form, as a stream.

    {"data": [{"title": ..., "paragraphs": [{"context": ..., "qas": [{"id": ..., "question": ..., "answers": ...}]}]}]}

Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text"; 2018 for `is_impossible`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from lmkit.data.lines import BOM, DAMAGED, open_bytes
from lmkit.data.tally import Tally
from lmkit.errors import DataError

_Event = tuple[str, Any]  # of ijson: its name, and the value or key
_WANTED = 'a list of objects or {"data": [{"paragraphs": [{"context": ..., "qas": [...]}]}]} is wanted'
_LINES = "A file with an object a line is to be named .jsonl"


def read_json(path: Path, tally: Tally) -> Iterator[tuple[str, dict[str, Any]]]:
    """The place and the values of each row: "file: item N" of a list, "file: question ID" of SQuAD's form.

    A row of the latter has "id", "title", "context", "question" and "answers", as far as the file does; "title" where
    it comes before the paragraphs.  Memory holds one item, or one paragraph.  What is behind a mistake in the JSON
    cannot be read, and is left out through `tally`; the first half of a surrogate pair, alone, is read as "?".
    Raises DataError for JSON of neither form.
    """
    import ijson

    rows = 0
    try:
        with open_bytes(path) as file:
            _skip_mark(file)
            events = iter(ijson.basic_parse(file, use_float=True))
            event, _ = next(events)
            if event == "start_array":
                found = _listed(events, path, tally)
            elif event == "start_map":
                found = _questions(events, path, tally)
            else:
                raise DataError(f"{path}: one value, where {_WANTED}")
            for row in found:
                rows += 1
                yield row
            deque(events, maxlen=0)  # nothing may follow
    except (ijson.JSONError, UnicodeDecodeError) as error:
        what = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        reason = what.partition("\n")[0].rstrip(".")
        problem = f"{path}: not JSON behind row {rows}, what follows cannot be read: {reason}"
        tally.leave_out("bad JSON", problem, "Repair the file")
    except DAMAGED as error:
        problem = f"{path}: the gzip file is damaged or cut off behind row {rows}: {str(error).rstrip('.')}"
        tally.leave_out("damaged gzip", problem, "Fetch it again")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _skip_mark(file: IO[bytes]) -> None:
    if file.read(len(BOM)) != BOM:
        file.seek(0)


def _listed(events: Iterator[_Event], path: Path, tally: Tally) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, first in enumerate(_items(events), 1):
        place = f"{path}: item {number}"
        try:
            yield place, _object(_value(first, events))
        except DataError as error:
            tally.leave_out("bad JSON", f"{place}: not a JSON object: {error}", "Repair the item")


def _questions(events: Iterator[_Event], path: Path, tally: Tally) -> Iterator[tuple[str, dict[str, Any]]]:
    known = False
    for name, first in _pairs(events):
        if name == "data" and first[0] == "start_array":
            known = True
            for number, article in enumerate(_items(events), 1):
                yield from _article(article, events, f"{path}: article {number}", path, tally)
        else:
            _skip(first, events)
    if not known:
        raise DataError(f'{path}: an object without a list "data", where {_WANTED}. {_LINES}')


def _article(
    first: _Event, events: Iterator[_Event], place: str, path: Path, tally: Tally
) -> Iterator[tuple[str, dict[str, Any]]]:
    if first[0] != "start_map":
        _skip(first, events)
        tally.leave_out("bad JSON", f'{place}: no object, where {{"paragraphs": [...]}} is wanted', "Repair it")
        return
    shared: dict[str, Any] = {}
    known = False
    for name, item in _pairs(events):
        if name == "paragraphs" and item[0] == "start_array":
            known = True
            for number, paragraph in enumerate(_items(events), 1):
                where = f"{place}, paragraph {number}"
                try:
                    rows = _paragraph(_object(_value(paragraph, events)), shared)
                except DataError as error:
                    tally.leave_out("bad JSON", f"{where}: not a paragraph: {error}", "Repair it")
                    continue
                for count, row in enumerate(rows, 1):
                    yield f"{path}: question {row['id']}" if "id" in row else f"{where}, question {count}", row
        elif name == "title" and item[0] == "string":
            shared["title"] = item[1]
        else:
            _skip(item, events)
    if not known:
        tally.leave_out("bad JSON", f'{place}: it has no list "paragraphs"', "Repair it")


def _paragraph(paragraph: dict[str, Any], shared: dict[str, Any]) -> list[dict[str, Any]]:
    asked = paragraph.get("qas")
    if not isinstance(asked, list) or not all(isinstance(question, dict) for question in asked):
        raise DataError('"qas" is no list of objects')
    rows = []
    for question in asked:
        row = shared | _part(paragraph, "context") | _part(question, "id", "question", "answers")
        rows.append(row | {"answers": []} if question.get("is_impossible") is True else row)
    return rows


def _part(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f'a {type(value).__name__}, where {{"name": value, ...}} is wanted')
    return value


def _items(events: Iterator[_Event]) -> Iterator[_Event]:
    """The first event of each item of a list that was entered; the caller takes the others."""
    for event in events:
        if event[0] == "end_array":
            return
        yield event


def _pairs(events: Iterator[_Event]) -> Iterator[tuple[str, _Event]]:
    """Each name of an object that was entered, with the first event of its value; the caller takes the others."""
    for event, name in events:
        if event == "end_map":
            return
        yield name, next(events)


def _skip(first: _Event, events: Iterator[_Event]) -> None:
    """Pass by the value that `first` begins."""
    depth = 0
    event, _ = first
    while True:
        depth += event.startswith("start_")
        depth -= event.startswith("end_")
        if not depth:
            return
        event, _ = next(events)


def _value(first: _Event, events: Iterator[_Event]) -> Any:
    """The value that `first` begins, however deep; raises DataError, behind it, where a name is there twice."""
    opened: list[Any] = []
    names: list[str] = []
    twice: str | None = None
    event, value = first
    while True:
        if event == "start_map":
            opened.append({})
            names.append("")
        elif event == "start_array":
            opened.append([])
            names.append("")
        elif event == "map_key":
            twice = value if value in opened[-1] else twice
            names[-1] = value
        else:
            if event in ("end_map", "end_array"):
                value = opened.pop()
                names.pop()
            if not opened:
                break
            if isinstance(opened[-1], list):
                opened[-1].append(value)
            else:
                opened[-1][names[-1]] = value
        event, value = next(events)
    if twice is not None:
        raise DataError(f"key {twice!r} is there twice")
    return value
