"""What all commands share: help, exit statuses, messages, JSON. Real processes, outside the checkout."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Lmkit = Callable[..., subprocess.CompletedProcess[str]]

PLUGIN = """
import attrs
from lmkit import Objective, hookimpl

@hookimpl
def lmkit_objectives():
    return {"surprise": "surprise:Surprise"}

def odd():
    raise RuntimeError("the moon is full")

@attrs.frozen(kw_only=True)
class Config:
    moon: int = attrs.field(factory=odd)

class Surprise(Objective):
    name, Config, head_kind, attention = "surprise", Config, "token", "causal"
    weights = {"surprise": 1.0}
    def __init__(self, config, vocabulary): ...
    def build_head(self, encoder): ...
    def collate(self, examples, *, progress): ...
    def loss(self, encoder, head, batch): ...
"""


@pytest.fixture
def surprise(tmp_path: Path) -> Path:
    """A local plugin that breaks when its config is built."""
    file = tmp_path / "surprise.py"
    file.write_text(PLUGIN)
    return file


def test_help_lists_every_command(lmkit: Lmkit) -> None:
    shown = lmkit("--help").stdout
    assert lmkit().stdout == shown
    commands = [line.split()[0] for line in shown[shown.index("Commands:") :].splitlines()[1:]]
    verbs = ["demo", "init", "check", "pretrain", "resume", "finetune", "evaluate", "predict"]
    assert commands == [*verbs, "playground", "report", "compare", "export", "doctor", "import", "data", "plugins"]
    assert "..." not in shown.partition("Commands:")[2]  # no sentence is cut


@pytest.mark.parametrize("command", ["init", "pretrain", "predict", "data build", "plugins list", "doctor"])
def test_every_command_takes_the_common_options(lmkit: Lmkit, command: str) -> None:
    shown = lmkit(*command.split(), "--help").stdout
    assert all(f"  {option} " in shown for option in ("--json", "--quiet", "--debug"))


def test_a_wrong_command_suggests_the_right_one(lmkit: Lmkit) -> None:
    done = lmkit("pretrian", "run.toml", status=2)
    assert done.stdout == ""
    assert done.stderr == (
        "error: No such command 'pretrian'. Did you mean 'pretrain'?\n  `lmkit --help` shows what it takes\n"
    )


def test_a_missing_option_is_wrong_usage_in_json_too(lmkit: Lmkit) -> None:
    done = lmkit("pretrain", "run.toml", "--json", status=2)
    message = "Missing option '--run'.\n  `lmkit pretrain --help` shows what it takes"
    assert json.loads(done.stdout) == {"error": message}
    assert done.stderr == f"error: {message}\n"


def test_an_error_of_lmkit_is_one_message_without_traceback(lmkit: Lmkit, tmp_path: Path) -> None:
    done = lmkit("init", "surprize", "--json", "--plugin", tmp_path / "absent.py", status=2)
    message = f"local file {tmp_path / 'absent.py'}: No such file or directory"
    assert done.stderr == f"error: {message}\n"
    assert json.loads(done.stdout) == {"error": message}


def test_debug_shows_the_traceback_of_an_error(lmkit: Lmkit, tmp_path: Path) -> None:
    done = lmkit("init", "x", "--debug", "--plugin", tmp_path / "absent.py", status=2)
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith(f"error: local file {tmp_path / 'absent.py'}: No such file or directory\n")


def test_a_defect_says_how_to_report_it(lmkit: Lmkit, surprise: Path) -> None:
    done = lmkit("init", "surprise", "--plugin", surprise, status=1)
    line = PLUGIN.splitlines().index('    raise RuntimeError("the moon is full")') + 1
    assert done.stderr == (
        f"error: internal error: RuntimeError: the moon is full ({surprise}:{line})\n"
        f"  This is a defect of local file {surprise.name}, not of your input. Please report it with the\n"
        "  traceback that --debug shows and with what `lmkit doctor` says.\n"
    )
    assert "Traceback" in lmkit("init", "surprise", "--debug", "--plugin", surprise, status=1).stderr


def test_a_file_that_cannot_be_written_is_no_defect(lmkit: Lmkit, tmp_path: Path) -> None:
    done = lmkit("init", "mlm", "-o", tmp_path / "absent" / "run.toml", status=1)
    assert done.stderr == f"error: {tmp_path / 'absent' / 'run.toml'}: No such file or directory\n"


def test_a_reader_that_goes_away_is_no_failure(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lmkit", "doctor"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_one_of_several_processes_answers(lmkit: Lmkit) -> None:
    assert json.loads(lmkit("plugins", "--json", RANK="0").stdout)["components"]
    assert lmkit("plugins", "--json", RANK="1").stdout == ""


@pytest.mark.parametrize("command", ["--help", "plugins", "pretrain --help"])
def test_what_needs_no_torch_loads_none(tmp_path: Path, command: str) -> None:
    code = (
        "import sys\n"
        "from lmkit.cli.app import run\n"
        f"status = run({command.split()!r})\n"
        "heavy = {'torch', 'datasets', 'numpy', 'pandas', 'rich', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_command_that_is_asked_to_end_cleans_up_and_says_so(tmp_path: Path) -> None:
    code = """
import os, signal, sys, time
from pathlib import Path
from lmkit.cli.answer import Answer
from lmkit.cli.command import command

def work() -> Answer:
    Path("half").mkdir()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
    finally:
        Path("half").rmdir()

sys.exit(command(work)(as_json=False, quiet=False, debug=False))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "error: stopped\n")
    assert not list(tmp_path.iterdir())
