"""Command: a function that returns an Answer becomes a command with --json, --quiet and --debug."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lmkit.cli.answer import Answer
from lmkit.cli.answer import as_json as json_text
from lmkit.cli.failure import fail

Recipe = Annotated[Path, typer.Argument(metavar="RUN.toml", help="What to train, and how.", show_default=False)]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A run's folder.", show_default=False)]
NewFolder = Annotated[Path, typer.Option("--run", metavar="DIR", help="The new run's folder.", show_default=False)]
Changes = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a value, such as train.steps=100.",
        show_default=False,
        default_factory=list,
    ),
]
ConfigOptions = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a field of the task's or component's Config, such as top_k=3.",
        show_default=False,
        default_factory=list,
    ),
]
LocalFiles = Annotated[
    list[Path],
    typer.Option(
        "--plugin", metavar="FILE", help="A local plugin, which is run.", show_default=False, default_factory=list
    ),
]

PrecisionOption = Annotated[
    Literal["auto", "fp32", "bf16"],
    typer.Option(help="Of the products by which it answers; auto: that of its training, where this machine has it."),
]
Profiled = Annotated[
    bool, typer.Option("--profile", help="Also write where the time goes: profile.md and a trace, of steps 5 to 12.")
]

_COMMON = {
    "as_json": Annotated[bool, typer.Option("--json", help="Answer with one JSON object on stdout.")],
    "quiet": Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")],
    "debug": Annotated[bool, typer.Option("--debug", help="Show the traceback of what goes wrong.")],
}


def command(function: Callable[..., Answer]) -> Callable[..., int]:
    """`function` as typer wants it; it is given `quiet` where it has such a parameter. Returns the exit status."""
    signature = inspect.signature(function, eval_str=True)
    own = [p for p in signature.parameters.values() if p.name not in _COMMON]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in _COMMON.items()
    ]

    @wraps(function)
    def run(*, as_json: bool, quiet: bool, debug: bool, **arguments: Any) -> int:
        warnings.showwarning = _show_warning
        if threading.current_thread() is threading.main_thread():  # training takes it over, and saves first
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        if "quiet" in signature.parameters:
            arguments["quiet"] = quiet
        try:
            with redirect_stdout(sys.stderr) if as_json else nullcontext():
                answer = function(**arguments)
                data = answer.data() if as_json else None
            if os.environ.get("RANK", "0") == "0":  # of several processes, one answers
                for line in answer.lines if data is None else [json_text(data)]:
                    sys.stdout.write(line + "\n")
                    sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:
            return fail(error, as_json=as_json, debug=debug)
        return answer.status

    parameters = [*own, *common]
    run.__signature__ = signature.replace(parameters=parameters, return_annotation=int)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    del run.__wrapped__
    return run


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    if os.environ.get("RANK", "0") == "0":
        sys.stderr.write(f"warning: {message}\n")
