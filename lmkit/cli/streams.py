"""Streams: a command whose input or output is closed (`>&-`) reads nothing there, and writes to nobody."""

from __future__ import annotations

import os
import sys


def open_closed_streams() -> None:
    """Give a closed standard stream the null device, whose number then nothing else that is opened gets."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
