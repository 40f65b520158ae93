"""The commands that train and answer, from a run.toml to a prediction, on a text of forty lines."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

Lmkit = Callable[..., subprocess.CompletedProcess[str]]

RECIPE = """
[tokenizer]
use = "wordpiece"
vocab_size = 300

[data]
train = ["text.txt"]
document = "line"

[encoder]
use = "bert"
layers = 1
width = 64

[objective]
use = "mlm"

[train]
steps = 4
block_tokens = 16
batch_tokens = 64
threads = 1
precision = "fp32"
compile = "off"
"""

TASK = """
[task]
use = "fill-mask"
longest = 16

[data]
train = ["text.txt"]
document = "line"

[train]
steps = 2
block_tokens = 16
batch_tokens = 64
threads = 1
precision = "fp32"
compile = "off"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    lines = [
        f"The {size} fox jumps over the {colour} dog." for size in ("big", "small") for colour in "abcdefghijklmnop"
    ]
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "task.toml").write_text(TASK)
    (tmp_path / "run.toml").write_text(RECIPE)
    return tmp_path / "run.toml"


def test_a_run_from_its_file_to_its_answers(lmkit: Lmkit, recipe: Path) -> None:
    done = lmkit("pretrain", "run.toml", "--run", "runs/a", "--set", "train.steps=3")
    assert done.stdout == 'runs/a: trained to step 3\nNext: lmkit predict runs/a "..."\n'
    told = done.stderr.splitlines()
    assert told[0].endswith(" parameters to train on cpu, fp32, 1 thread, not compiled")
    assert [line.split("  ")[0] for line in told if "tokens/s" in line] == ["step 1/3", "step 2/3", "step 3/3"]
    assert told[-1].startswith("done: 3 steps, ")

    answers = lmkit("predict", "runs/a", "The [MASK] fox.", "A dog [MASK]").stdout.splitlines()
    assert [len(json.loads(line)["masks"]) for line in answers] == [1, 1]
    fewer, more = (
        [choice["token"] for choice in json.loads(said)["masks"][0]]
        for said in (lmkit("predict", "runs/a", "The [MASK] fox.", "--set", "top_k=2").stdout, answers[0])
    )
    assert fewer == more[:2]
    row = json.dumps({"text": "The [MASK] fox."})
    piped = lmkit("predict", "runs/a", "--rows", "-", "--json", text=f"{row}\n")
    assert [answer["text"] for answer in json.loads(piped.stdout)["predictions"]] == [json.loads(answers[0])["text"]]

    scored = json.loads(lmkit("evaluate", "runs/a", "--text", "text.txt", "--json").stdout)["text"]
    assert scored["documents"] == 32
    assert scored["mlm"] > 0
    (recipe.parent / "pairs.jsonl").write_text('{"sentence_good": "The big fox", "sentence_bad": "fox big The"}\n')
    scored = json.loads(lmkit("evaluate", "runs/a", "--minimal-pairs", "pairs.jsonl", "--json").stdout)["minimal_pairs"]
    found = scored["files"]["pairs.jsonl"]
    assert found.pop("intervals").keys() <= {"accuracy", "ties"}
    assert found == {**scored["mean"], "pairs": 1, "unread": 0}
    said = lmkit("evaluate", "runs/a", "--minimal-pairs", "pairs.jsonl").stdout.splitlines()
    assert [line.split()[0] for line in said] == ["minimal", "pairs.jsonl", "mean"]
    assert said[1].split()[1:] == [f"{scored['mean']['accuracy']:.4f}", f"{scored['mean']['ties']:.4f}", "1"]

    longer = json.loads(lmkit("resume", "runs/a", "--set", "train.steps=5", "--json", "--quiet").stdout)
    assert longer == {"run": "runs/a", "step": 5, "last_step": 5, "head_kind": "token"}
    tuned = lmkit("finetune", "runs/a", "task.toml", "--run", "runs/b", "--quiet")
    assert tuned.stdout == 'runs/b: trained to step 2\nNext: lmkit predict runs/b "..."\n'
    assert tuned.stderr == ""


def test_a_folder_that_is_taken_is_left_alone(lmkit: Lmkit, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "diary.txt").write_text("dear diary")
    done = lmkit("pretrain", "run.toml", "--run", "taken", status=2)
    assert done.stderr == ("error: taken: already there; choose another folder, or give the new run another --run\n")
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["diary.txt"]


def test_five_mistakes_are_told_at_once(lmkit: Lmkit, recipe: Path) -> None:
    text = RECIPE.replace("layers = 1", 'layerz = 1\nheads = "twelve"').replace('"mlm"', '"mml"')
    recipe.write_text(text.replace("steps = 4", "steps = 0").replace("block_tokens = 16", "block_tokens = 16.5"))
    done = lmkit("pretrain", "run.toml", "--run", "runs/a", "--json", status=2)
    head, *problems = json.loads(done.stdout)["error"].splitlines()
    assert head == "run.toml: 5 problems"
    assert done.stderr == f"error: {json.loads(done.stdout)['error']}\n"
    wanted = ("encoder.layerz: ", "encoder.heads: ", "objective.use: ", "train.steps: ", "train.block_tokens: ")
    assert sorted(line.split()[0] + " " for line in problems) == sorted(wanted)
    assert not (recipe.parent / "runs").exists()


def test_what_a_run_will_cost_is_told_without_a_trace(lmkit: Lmkit, recipe: Path) -> None:
    found = json.loads(lmkit("check", "run.toml", "--json").stdout)
    assert found["parameters"] > 0
    assert found["tokens"] == 4 * 64
    built = json.loads(lmkit("data", "build", "run.toml", "--json").stdout)
    assert built["documents"] == 32
    assert sorted(path.name for path in recipe.parent.iterdir()) == ["run.toml", "task.toml", "text.txt"]


def test_a_signal_saves_and_the_run_goes_on(recipe: Path, lmkit: Lmkit) -> None:
    command = [sys.executable, "-m", "lmkit", "pretrain", "run.toml", "--run", "runs/a", "--set", "train.steps=1000000"]
    with subprocess.Popen(command, cwd=recipe.parent, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if line.startswith("step 4/"):
                run.send_signal(signal.SIGTERM)
                break
        rest = run.stderr.read().splitlines()
    assert run.returncode == 3
    assert rest[-1].startswith("error: stopped by SIGTERM after step ")
    assert "; everything is saved. Go on with: lmkit resume " in rest[-1]
    step = int(rest[-1].split()[6].rstrip(";"))
    done = lmkit("resume", "runs/a", "--set", f"train.steps={step + 1}")
    assert done.stdout.startswith(f"runs/a: trained to step {step + 1}\n")
    assert f"goes on from runs/a/checkpoints/step-{step:08d} (step {step})" in done.stderr


def test_on_a_terminal_a_line_moves(recipe: Path) -> None:
    reader, writer = pty.openpty()
    command = [sys.executable, "-m", "lmkit", "pretrain", "run.toml", "--run", "runs/a"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, cwd=recipe.parent, env=environment, stdout=subprocess.PIPE, stderr=writer) as run:
        os.close(writer)
        seen = b""
        with suppress(OSError):  # so Linux says that the other end is closed
            while piece := os.read(reader, 4096):
                seen += piece
        assert run.stdout is not None
        assert run.stdout.read().startswith(b"runs/a: trained to step 4\n")
    os.close(reader)
    assert run.returncode == 0
    assert b"\x1b[2K" in seen
    assert b"step 4/4  loss " in seen


def test_batches_are_shown_as_text(lmkit: Lmkit, recipe: Path) -> None:
    lines = lmkit("data", "inspect", "run.toml", "--examples", "2").stdout.splitlines()
    assert [line for line in lines if line.startswith("example ")] == ["example 0", "example 1"]
    assert lines[0].startswith("{what the model reads|what it has to predict there}")
    assert "{[MASK]|" in lines[3]
    assert any(line.startswith("duplicate documents") for line in lines)
    found = json.loads(lmkit("data", "inspect", "run.toml", "--examples", "1", "--json").stdout)
    assert {piece["kind"] for row in found["examples"][0]["rows"] for piece in row} >= {"scored", "border"}


def test_a_report_is_written_and_runs_are_compared(lmkit: Lmkit, recipe: Path) -> None:
    for name, steps in (("a", 2), ("b", 3)):
        lmkit("pretrain", "run.toml", "--run", f"runs/{name}", "--set", f"train.steps={steps}", "--quiet")
    said = lmkit("report", "runs/a").stdout
    assert said == "wrote runs/a/report.html: open it in a browser\n"
    assert (recipe.parent / "runs/a/report.html").read_text().startswith("<!doctype html>")
    lines = lmkit("compare", "runs/a", "runs/b").stdout.splitlines()
    assert lines[0].split() == ["a", "b"]
    assert ["train.steps", "2", "3"] in [line.split() for line in lines]
