"""The text of tokens as they come: whole characters only, nothing beyond a stop string.

What is shown is never taken back, so text that may turn out to be the start of a stop string, or a character of which
some bytes are missing, waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from lmkit.interfaces import Tokenizer

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
CONTEXT_TOKENS = 8
"""Tokens of the prompt that are decoded along, for tokenizers whose text depends on what came before."""


class Pieces:
    """Turns tokens that follow `prompt` into pieces of text; together they are `text`."""

    def __init__(self, tokenizer: Tokenizer, prompt: npt.NDArray[Any], stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        self._context = [int(token) for token in prompt[-CONTEXT_TOKENS:]]
        self._fresh: list[int] = []  # tokens whose text is not whole yet
        self._waiting = ""
        self.text = ""
        """All that was shown."""
        self.stopped = False
        """Whether a stop string came; `text` ends before it."""

    def add(self, token: int) -> str:
        """What can be shown now that `token` came; mostly its own text, sometimes nothing."""
        self._fresh.append(token)
        fresh = self._fresh_text()
        if not fresh or fresh.endswith(REPLACEMENT):
            return ""
        self._context, self._fresh = self._fresh, []
        self._waiting += fresh
        return self._show(last=False)

    def finish(self) -> str:
        """What waited; bytes that make no whole character at the very end are left out."""
        self._waiting += self._fresh_text().rstrip(REPLACEMENT)
        self._fresh = []
        return self._show(last=True)

    def _fresh_text(self) -> str:
        before = self._tokenizer.decode(self._context)
        both = self._tokenizer.decode([*self._context, *self._fresh])
        return both[len(before) :] if both.startswith(before) else self._tokenizer.decode(self._fresh)

    def _show(self, *, last: bool) -> str:
        found = [self._waiting.find(stop) for stop in self._stop if stop in self._waiting]
        self.stopped = bool(found)
        end = min(found) if found else len(self._waiting) - (0 if last else self._start_of_stop())
        shown, self._waiting = self._waiting[:end], self._waiting[end:]
        self.text += shown
        return shown

    def _start_of_stop(self) -> int:
        """Characters at the end of what waits that may begin a stop string."""
        longest = max(map(len, self._stop), default=0)
        sizes = range(min(longest - 1, len(self._waiting)), 0, -1)
        return next((n for n in sizes if any(stop.startswith(self._waiting[-n:]) for stop in self._stop)), 0)
