"""Failure: an exception as one message on stderr and an exit status; a traceback only where --debug asks for it."""

from __future__ import annotations

import os
import sys
import traceback
from types import TracebackType

import typer

from lmkit.cli.answer import as_json as json_text
from lmkit.errors import LmkitError
from lmkit.registry import plugins
from lmkit.registry.local import LOCAL_PREFIX

STOPPED = 130
"""What shells expect of a command that an interrupt ended at once, with nothing saved for it."""


def fail(error: BaseException, *, as_json: bool, debug: bool) -> int:
    """Tell `error` on stderr, and on stdout where an answer in JSON was wanted; returns the exit status."""
    if isinstance(error, BrokenPipeError):
        return _leave_quietly()
    message, status = _told(error)
    rank, local = (os.environ.get(name, "0") for name in ("RANK", "LOCAL_RANK"))
    if isinstance(error, LmkitError) and not error.alone and local != "0":  # the machine's first says it for all
        return status
    if rank != "0" and not message.startswith(f"process {rank} "):
        message = f"process {rank}: {message}"
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
        f"  This is a defect of {_suspect(error.__traceback__)}, not of your input. Please report it with the\n"
        "  traceback that --debug shows and with what `lmkit doctor` says."
    ), 1


def _suspect(trace: TracebackType | None) -> str:
    """The plugin whose code was running last, if any was: it may still have been given nonsense."""
    owners: dict[str, str] = {}
    for plugin in plugins():
        modules = [plugin.module, *(component.path.partition(":")[0] for component in plugin.components)]
        owners |= {module.partition(".")[0]: str(plugin) for module in modules}
    for frame, _ in reversed(list(traceback.walk_tb(trace))):
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package.startswith(LOCAL_PREFIX):
            return f"local file {os.path.basename(frame.f_code.co_filename)}"
        if package in owners:
            return f"{owners[package]} or of lmkit"
    return "lmkit"


def _last_line(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


def _leave_quietly() -> int:
    """Whoever read the output has gone, as `head` does: nothing failed, and nothing more is to be said."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
