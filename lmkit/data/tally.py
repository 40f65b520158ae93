"""Tally: what was read, and what was left out, refused or reported because it was bad.

Every reader reports bad input here and goes on where `leave_out` returns, so the policy is in one place.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs

from lmkit.errors import DataError

_MOST_IN_A_ROW = 100_000  # problems that wait to be reported, so that memory stays bounded


@attrs.define
class Tally:
    """Counts of what was read; `bad_input` says whether a bad line or row stops, is skipped or is `reported`."""

    bad_input: Literal["stop", "skip", "report"] = "stop"
    files: int = 0
    documents: int = 0
    bytes: int = 0
    """Of the documents' text in UTF-8."""
    skipped: dict[str, int] = attrs.Factory(dict)
    """What was wrong -> how many lines, rows or documents were left out for it."""
    first: dict[str, str] = attrs.Factory(dict)
    """What was wrong -> the first place where it was, in a sentence."""
    _waiting: list[str] = attrs.field(factory=list, init=False, repr=False, eq=False)

    def leave_out(self, kind: str, problem: str, remedy: str) -> None:
        """Count a line, row or document of a `kind` of wrong; raises DataError with `problem` where that stops.

        `problem` is "file:line: what, what was wanted".
        """
        if self.bad_input == "stop":
            raise DataError(f'{problem}. {remedy}, or leave out what is bad with bad_input = "skip" in [data]')
        if self.bad_input == "report":
            self._waiting.append(problem)
            if len(self._waiting) == _MOST_IN_A_ROW:
                raise DataError(f"{problem}; so are {_MOST_IN_A_ROW} in a row: is the file of another format?")
        self.skipped[kind] = self.skipped.get(kind, 0) + 1
        self.first.setdefault(kind, problem)

    def reported(self) -> list[str]:
        """The problems since the last call, in order, where they are to be reported."""
        taken, self._waiting = self._waiting, []
        return taken

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for manifests and reports."""
        return attrs.asdict(self, filter=lambda field, _: field.init)
