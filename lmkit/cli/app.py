"""The app: every command under its name, and usage errors told like all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lmkit.cli.answer import Answer
from lmkit.cli.check import check
from lmkit.cli.command import command
from lmkit.cli.data import build, inspect
from lmkit.cli.demo import demo
from lmkit.cli.doctor import doctor
from lmkit.cli.evaluate import evaluate
from lmkit.cli.export import export, import_model
from lmkit.cli.failure import fail
from lmkit.cli.finetune import finetune
from lmkit.cli.init import init
from lmkit.cli.playground import playground
from lmkit.cli.plugins import check_plugin, list_plugins, new_plugin, plugins_matrix
from lmkit.cli.predict import predict
from lmkit.cli.pretrain import pretrain
from lmkit.cli.report import compare, report
from lmkit.cli.resume import resume

_Typer = partial(
    typer.Typer,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)

_VERBS: Sequence[Callable[..., Answer]]
_VERBS = (demo, init, check, pretrain, resume, finetune, evaluate, predict, playground, report, compare, export, doctor)


class _ListsByDefault(TyperGroup):
    """`lmkit plugins` is `lmkit plugins list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        lists = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        return super().parse_args(ctx, ["list", *args] if lists else args)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"lmkit {metadata.version('lmkit')}")
        raise typer.Exit


def _lmkit(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Pre-train language models on your own text and fine-tune them.

    Begin with `lmkit demo`, or with `lmkit init` and `lmkit pretrain`.
    """


def _app() -> typer.Typer:
    app = _Typer(name="lmkit")
    app.callback()(_lmkit)
    data = _Typer(help="Look after the text that a run reads.")
    data.command("build")(command(build))
    data.command("inspect")(command(inspect))
    plugins = _Typer(help="List what is installed (the default), or check a component.", cls=_ListsByDefault)
    plugins.command("list")(command(list_plugins))
    plugins.command("matrix")(command(plugins_matrix))
    plugins.command("new")(command(new_plugin))
    plugins.command("check")(command(check_plugin))
    app.add_typer(data, name="data")
    app.add_typer(plugins, name="plugins")
    for verb in _VERBS:
        app.command()(command(verb))
    app.command("import")(command(import_model))
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit status."""
    try:
        status = _app()(list(arguments) or ["--help"], prog_name="lmkit", standalone_mode=False)
    except typer.TyperException as error:
        options = arguments[: arguments.index("--")] if "--" in arguments else arguments
        return fail(error, as_json="--json" in options, debug="--debug" in options)
    return status or 0
