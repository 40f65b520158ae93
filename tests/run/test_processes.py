"""Several processes, as torchrun starts them: the same losses as one, and the same run goes on with fewer or more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import lmkit
from lmkit.report.metrics import read_metrics

RECIPE = """
[tokenizer]
use = "bpe"
vocab_size = 300
[data]
train = ["text.txt"]
document = "line"
validation = 0.1
[encoder]
use = "{encoder}"
layers = 2
width = 64
[objective]
use = "{objective}"
[train]
steps = 6
block_tokens = 32
batch_tokens = {batch}
micro_batch_tokens = {micro}
threads = 1
precision = "fp32"
compile = "off"
evaluate_every_steps = 3
collective_minutes = 1
[checkpoint]
every_steps = 2
keep = 9
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    text = "".join(f"Robin Hood in greenwood stood, and {n} of his men were with him.\n" for n in range(400))
    (tmp_path / "text.txt").write_text(text)
    return tmp_path


def write(place: Path, objective: str = "clm", *, batch: int = 224, micro: int = 32) -> None:
    across = objective == "span-denoising"
    text = RECIPE.format(objective=objective, batch=batch, micro=micro, encoder="t5" if across else "qwen3")
    (place / "run.toml").write_text(
        text.replace("vocab_size = 300", "vocab_size = 400\nmarks = 20") if across else text
    )


def torchrun(place: Path, processes: int, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, "-m", *launch, "-m", "lmkit", "--", *words]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (status == 0), f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def steps(run: Path) -> list[dict[str, Any]]:
    return [event for event in read_metrics(run / "metrics.jsonl") if event["event"] == "step"]


def losses(run: Path) -> list[float]:
    return [event["loss"] for event in steps(run)]


def near(found: Sequence[float], wanted: Sequence[float]) -> None:
    assert found == pytest.approx(wanted, abs=2e-5)


@pytest.mark.parametrize(
    ("parallel", "objective"),
    [
        pytest.param("ddp", "clm", marks=pytest.mark.slow),
        ("fsdp", "clm"),
        pytest.param("ddp", "rtd", marks=pytest.mark.slow),
        pytest.param("fsdp", "hybrid", marks=pytest.mark.slow),
        pytest.param("fsdp", "span-denoising", marks=pytest.mark.slow),
    ],
)
def test_two_processes_come_to_the_losses_of_one(place: Path, parallel: str, objective: str) -> None:
    """Of 7 blocks a step one has 4 and the other 3, in micro-batches of one: the other keeps time."""
    write(place, objective)
    alone = lmkit.pretrain(place / "run.toml", run=place / "alone", quiet=True)
    shared = ["--run", "shared", "--set", f"train.parallel={parallel}"]
    said = torchrun(place, 2, "pretrain", "run.toml", *shared)
    assert said.stdout.startswith("shared: trained to step 6\n")  # once
    assert said.stderr.count("done: 6 steps") == 1
    asked = [event for event in read_metrics(place / "shared/metrics.jsonl") if event["event"] == "sampled"]
    assert bool(asked) == (parallel == "ddp" and objective == "clm")  # the first has the whole model, and a task it
    near(losses(place / "shared"), losses(place / "alone"))
    both = [
        [event["loss"] for event in read_metrics(place / run / "metrics.jsonl") if event["event"] == "evaluated"]
        for run in ("alone", "shared")
    ]
    near(both[1], both[0])
    assert [event["tokens"] for event in steps(place / "shared")] == [e["tokens"] for e in steps(place / "alone")]
    newest = place / "shared/checkpoints/step-00000006"
    files = ["model.0-of-2", "model.1-of-2"] if parallel == "fsdp" else ["model"]
    assert sorted(path.name for path in newest.glob("model*")) == [f"{name}.safetensors" for name in files]
    weights = lmkit.load(place / "shared").module.state_dict()
    for name, weight in alone.module.state_dict().items():
        assert float((weights[name] - weight).abs().max()) < 1e-3, name


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(place: Path) -> None:
    write(place)
    lmkit.pretrain(place / "run.toml", run=place / "alone", overrides=["train.steps=8"], quiet=True)
    schedule = ["--set", "train.steps=8"]
    torchrun(place, 2, "pretrain", "run.toml", "--run", "moved", "--set", "train.parallel=fsdp", *schedule)
    for kept, parallel, processes in (("06", "ddp", 3), ("04", "fsdp", 2)):
        for later in sorted((place / "moved/checkpoints").glob("step-*")):
            if later.name > f"step-000000{kept}":
                later.rename(place / f"{later.name}-{kept}")
        torchrun(place, processes, "resume", "moved", "--set", f"train.parallel={parallel}")
    for later in sorted((place / "moved/checkpoints").glob("step-*")):
        if later.name > "step-00000002":
            later.rename(place / f"{later.name}-02")
    lmkit.resume(place / "moved", quiet=True)
    last = {event["step"]: event["loss"] for event in steps(place / "moved")}
    near(list(last.values()), losses(place / "alone"))
    resumed = [event for event in read_metrics(place / "moved/metrics.jsonl") if event["event"] == "resumed"]
    assert [event["promise"] for event in resumed][-1] == "same data"


@pytest.mark.slow
def test_shares_are_written_behind_the_training(place: Path) -> None:
    """To the same bits, and three processes go on from them."""
    write(place)
    runs = {"before": [], "behind": ["--set", "checkpoint.background=true"]}
    for run, more in runs.items():
        torchrun(place, 2, "pretrain", "run.toml", "--run", run, "--set", "train.parallel=fsdp", *more)
        assert len(list((place / run / "checkpoints").glob("step-*"))) == 3
    for file in sorted((place / "before/checkpoints").rglob("*.safetensors")):
        assert file.read_bytes() == Path(str(file).replace("/before/", "/behind/")).read_bytes(), file
    torchrun(place, 3, "resume", "behind", "--set", "train.steps=8")
    lmkit.resume(place / "before", overrides=["train.steps=8"], quiet=True)
    near(losses(place / "behind"), losses(place / "before"))
    assert len(list((place / "behind/checkpoints/step-00000008").glob("optimizer.*-of-3.safetensors"))) == 3


@pytest.mark.slow
def test_a_task_is_tuned_and_judged_by_two(place: Path) -> None:
    write(place, "mlm")
    lmkit.pretrain(place / "run.toml", run=place / "start", overrides=["train.steps=2"], quiet=True)
    rows = [{"text": f"{'good' if n % 2 else 'bad'} number {n}", "label": "yn"[n % 2]} for n in range(40)]
    (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (place / "task.toml").write_text(
        '[task]\nuse = "classification"\ndropout = 0.0\n[data]\ntrain = ["rows.jsonl"]\nvalidation = ["rows.jsonl"]\n'
        '[train]\nepochs = 2\nbatch_tokens = 128\nprecision = "fp32"\nthreads = 1\ncollective_minutes = 1\n'
    )
    lmkit.finetune(place / "start", place / "task.toml", run=place / "alone", quiet=True)
    for parallel, processes in (("ddp", 2), ("fsdp", 3)):  # of two labels' weights the third has none
        shared = ["--run", parallel, "--set", f"train.parallel={parallel}"]
        torchrun(place, processes, "finetune", "start", "task.toml", *shared)
        near(losses(place / parallel), losses(place / "alone"))
        found = [
            [event["terms"] for event in read_metrics(place / run / "metrics.jsonl") if event["event"] == "evaluated"]
            for run in ("alone", parallel)
        ]
        assert [terms["accuracy"] for terms in found[1]] == [terms["accuracy"] for terms in found[0]]


def test_several_processes_are_told_how_to_share(place: Path) -> None:
    write(place)
    said = torchrun(place, 2, "pretrain", "run.toml", "--run", "run", status=2).stderr
    assert said.count('error: 2 processes were started, but train.parallel is "none": --set train.parallel=ddp') == 1
    assert not (place / "run").exists()


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_at_one_step(place: Path) -> None:
    write(place)
    launch = [
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "lmkit",
        "--",
        "pretrain",
        "run.toml",
    ]
    changes = ["--run", "run", "--set", "train.parallel=ddp", "--set", "train.steps=100000"]
    command = [sys.executable, "-m", *launch, *changes]
    with subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if line.startswith("step 4/"):
                workers = subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True, check=True)
                os.kill(int(workers.stdout.split()[-1]), signal.SIGTERM)
                break
        rest = run.stderr.read()
    assert "everything is saved. Go on with: lmkit resume run" in rest
    saved = sorted((place / "run/checkpoints").glob("step-*"))[-1]
    assert steps(place / "run")[-1]["step"] == int(saved.name.removeprefix("step-"))


@pytest.mark.slow
def test_a_process_that_dies_is_told_by_the_other(place: Path) -> None:
    write(place)
    changes = ["--run", "run", "--set", "train.parallel=ddp", "--set", "train.steps=100000"]
    command = [sys.executable, "-m", "lmkit", "pretrain", "run.toml", *changes]
    ports = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29571", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    both = [
        subprocess.Popen(
            command,
            cwd=place,
            env={**os.environ, **ports, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for rank in (0, 1)
    ]
    assert both[0].stderr is not None
    for line in both[0].stderr:
        if line.startswith("step 4/"):
            both[1].kill()
            break
    begun = time.monotonic()
    rest = both[0].stderr.read()
    assert both[0].wait() == 1
    for process in both:
        assert process.stderr is not None
        process.stderr.close()
        process.wait()
    assert "error: process 0 of 2 lost the others" in rest
    assert time.monotonic() - begun < 90
    again = torchrun(place, 2, "resume", "run", "--set", "train.steps=20")
    assert "trained to step" in again.stdout


@pytest.mark.slow
def test_averaged_weights_are_validated_and_training_goes_on_with_its_own(place: Path) -> None:
    write(place)
    changes = ["train.ema=0.8", "train.evaluate_every_steps=2"]
    lmkit.pretrain(place / "run.toml", run=place / "alone", overrides=changes, quiet=True)
    words = [word for change in changes for word in ("--set", change)]
    torchrun(place, 2, "pretrain", "run.toml", "--run", "shared", "--set", "train.parallel=fsdp", *words)
    near(losses(place / "shared"), losses(place / "alone"))
