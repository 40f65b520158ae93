"""Failure: an exception as one message on stderr and an exit status; a traceback only where --debug asks for it."""

from __future__ import annotations

import os
import sys
import traceback
from types import TracebackType

import typer

from lmkit.cli.answer import as_json as json_text
from lmkit.errors import LmkitError

STOPPED = 130
"""What shells expect of a command that an interrupt ended at once, with nothing saved for it."""


def fail(error: BaseException, *, as_json: bool, debug: bool) -> int:
    """Tell `error` on stderr, and on stdout where an answer in JSON was wanted; returns the exit status."""
    if isinstance(error, BrokenPipeError):
        return _leave_quietly()
    message, status = _told(error)
    if debug:
        traceback.print_exception(error)
    try:
        sys.stderr.write(f"error: {message}\n")
        if as_json:
            sys.stdout.write(json_text({"error": message}) + "\n")
            sys.stdout.flush()
    except BrokenPipeError:
        _leave_quietly()
    return status


def _told(error: BaseException) -> tuple[str, int]:
    match error:
        case LmkitError():
            return str(error), error.exit_status
        case typer.TyperException():
            context = getattr(error, "ctx", None)
            path = context.command_path if context else "lmkit"
            return f"{error.format_message()}\n  `{path} --help` shows what it takes", 2
        case KeyboardInterrupt():
            return "stopped", STOPPED
        case MemoryError():
            return "out of memory. Lower train.micro_batch_tokens: it never changes the result", 1
        case OSError(strerror=str(what), filename=filename):
            return f"{filename}: {what}" if filename is not None else what, 1
    where = _last_line(error.__traceback__)
    return (
        f"internal error: {type(error).__name__}: {error}{where}\n"
        "  This is a defect of lmkit or of a plugin, not of your input. Please report it with the traceback that\n"
        "  --debug shows and with what `lmkit doctor` says."
    ), 1


def _last_line(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


def _leave_quietly() -> int:
    """Whoever read the output has gone, as `head` does: nothing failed, and nothing more is to be said."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
