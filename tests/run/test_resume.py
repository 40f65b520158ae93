"""Resume: to the same bits, wherever a run was stopped, whoever stopped it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import lmkit
from lmkit.engine.events import Stepped
from tests.run.recipes import metrics, recipe

RUN = """
import json, sys, lmkit
from pathlib import Path
recipe, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
run = lmkit.resume(folder, quiet=True) if (folder / "config.toml").exists() else lmkit.pretrain(
    recipe, run=folder, quiet=True)
"""


def _assert_same_weights(one: lmkit.Run, other: lmkit.Run) -> None:
    mine, theirs = one.module.state_dict(), other.module.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def _cut_after(run: Path, step: int) -> None:
    """Leave a run as a kill after the checkpoint of `step` would."""
    for path in (run / "checkpoints").iterdir():
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)


@pytest.mark.parametrize("kind", ["mlm", "clm"])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_resume_is_exact_at_every_checkpoint(tmp_path, book, kind, workers, dropout):
    table = recipe(kind, book, dropout=dropout, every_steps=1, data_workers=workers, steps=5)
    whole = lmkit.pretrain(table, run=tmp_path / "whole", quiet=True)
    losses = [s["loss"] for s in metrics(whole.folder, "step")]
    assert len(losses) == 5
    for step in (1, 3) if workers else (1, 2, 3, 4):
        cut = tmp_path / f"cut-{step}"
        shutil.copytree(whole.folder, cut)
        _cut_after(cut, step)
        again = lmkit.resume(cut, quiet=True)
        assert [s["loss"] for s in metrics(cut, "step")] == losses
        assert metrics(cut, "resumed")[0]["promise"] == "exact"
        _assert_same_weights(again, whole)


def test_a_run_killed_before_its_first_checkpoint_starts_again(tmp_path, book):
    table = recipe("mlm", book, steps=4, every_steps=100)
    whole = lmkit.pretrain(table, run=tmp_path / "whole", quiet=True)
    shutil.copytree(whole.folder, tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "checkpoints")
    _assert_same_weights(lmkit.resume(tmp_path / "cut", quiet=True), whole)


def test_an_extended_run_says_that_exactness_ends(tmp_path, book, capsys):
    lmkit.pretrain(recipe("clm", book, steps=3), run=tmp_path / "run", quiet=True)
    longer = lmkit.resume(tmp_path / "run", overrides=["train.steps=5"])
    assert longer.step == 5
    [event] = metrics(tmp_path / "run", "resumed")
    assert event["promise"] == "compatible"
    assert event["differences"] == ["train.steps=5 (asked for)"]
    assert "train.steps=5 (asked for)" in capsys.readouterr().err
    assert (tmp_path / "run" / "config-until-step-00000003.toml").is_file()
    assert lmkit.resume(tmp_path / "run", quiet=True).step == 5


def test_a_resume_needs_its_token_stores_not_the_text(tmp_path, book):
    mine = tmp_path / "book.md"
    shutil.copy(book, mine)
    whole = lmkit.pretrain(recipe("clm", mine, steps=6), run=tmp_path / "whole", quiet=True)
    shutil.copytree(whole.folder, tmp_path / "cut")
    _cut_after(tmp_path / "cut", 3)
    mine.unlink()
    _assert_same_weights(lmkit.resume(tmp_path / "cut", quiet=True), whole)


def test_changed_text_is_refused(tmp_path, book, monkeypatch):
    mine = tmp_path / "book.md"
    shutil.copy(book, mine)
    lmkit.pretrain(recipe("clm", mine, steps=3), run=tmp_path / "run", quiet=True)
    with mine.open("a") as file:
        file.write("\n\nA paragraph that was not there.\n")
    monkeypatch.setenv("LMKIT_CACHE", str(tmp_path / "another-cache"))  # as on another machine
    with pytest.raises(lmkit.RunError) as raised:
        lmkit.resume(tmp_path / "run", overrides=["train.steps=5"], quiet=True)
    assert str(raised.value) == (
        f"{tmp_path / 'run'}: the data is not what the run was trained on (train, validation differ). "
        f"Put it back as it was, or start a new run: lmkit pretrain ... --from {tmp_path / 'run'}"
    )


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_taken(tmp_path, book):
    whole = lmkit.pretrain(recipe("clm", book, steps=6), run=tmp_path / "run", quiet=True)
    weights = tmp_path / "run" / "checkpoints" / "step-00000006" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    with pytest.warns(UserWarning, match=r"step-00000006.*model\.safetensors is damaged"):
        again = lmkit.resume(tmp_path / "run", quiet=True)
    _assert_same_weights(again, whole)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(lmkit.RunError, match="no such folder"):
        lmkit.resume(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(lmkit.RunError, match=r"not a run's folder: it has no config\.toml"):
        lmkit.resume(tmp_path / "empty")


def test_two_processes_cannot_train_in_one_folder(tmp_path, book):
    lmkit.pretrain(recipe("clm", book, steps=1), run=tmp_path / "run", quiet=True)
    from lmkit.checkpoint import RunLock

    with RunLock(tmp_path / "run"), pytest.raises(lmkit.RunError, match=f"process {os.getpid()}"):
        lmkit.resume(tmp_path / "run", quiet=True)


def _events(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _killed_until_done(table: dict, folder: Path, kills: int) -> int:
    """Run, kill after some more steps, run again, until it ends by itself; returns the kills that hit it alive."""
    drawn = random.Random(5)
    made = 0
    while True:
        process = subprocess.Popen([sys.executable, "-c", RUN, json.dumps(table), str(folder)])
        enough = _events(folder) + drawn.randrange(3, 15)
        while process.poll() is None and (made == kills or _events(folder) < enough):
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            return made
        assert process.returncode == -signal.SIGKILL
        made += 1


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_at_the_same_bits(tmp_path, book):
    table = recipe("mlm", book, dropout=0.1, every_steps=2, steps=60)
    whole = lmkit.pretrain(table, run=tmp_path / "whole", quiet=True)
    assert _killed_until_done(table, tmp_path / "killed", 3) == 3
    _assert_same_weights(lmkit.load(tmp_path / "killed"), whole)


def test_sigterm_saves_and_exits_with_3(tmp_path, book):
    table = recipe("clm", book, every_steps=1000, steps=100_000)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(table))
    code = (
        "import sys, json, lmkit; from pathlib import Path\n"
        "try:\n lmkit.pretrain(json.loads(Path(sys.argv[1]).read_text()), run=sys.argv[2], quiet=True)\n"
        "except lmkit.Interrupted as error:\n print(error); sys.exit(error.exit_status)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    while process.poll() is None and not (tmp_path / "run" / "metrics.jsonl").exists():
        time.sleep(0.05)
    while process.poll() is None and '"step", "step": 3' not in (tmp_path / "run" / "metrics.jsonl").read_text():
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    run = lmkit.load(tmp_path / "run")
    assert run.step >= 3
    advice = f"Go on with: lmkit resume {tmp_path / 'run'}"
    assert said == f"stopped by SIGTERM after step {run.step}; everything is saved. {advice}\n"


def test_a_change_that_does_not_fit_leaves_the_config_as_it_was(tmp_path, book):
    run = tmp_path / "run"
    lmkit.pretrain(recipe("mlm", book, steps=2), run=run, quiet=True)
    before = (run / "config.toml").read_bytes()
    with pytest.raises(lmkit.CheckpointError, match="its tensors are not those of the model"):
        lmkit.resume(run, overrides=["encoder.width=64"], quiet=True)
    assert (run / "config.toml").read_bytes() == before
    assert lmkit.resume(run, overrides=["train.steps=3"], quiet=True).step == 3


def test_a_config_that_was_edited_is_told(tmp_path, book):
    run = tmp_path / "run"
    lmkit.pretrain(recipe("mlm", book, steps=2), run=run, quiet=True)
    config = run / "config.toml"
    config.write_text(config.read_text().replace("batch_tokens = 256", "batch_tokens = 512"))
    lmkit.resume(run, overrides=["train.steps=3"], quiet=True)
    [resumed] = metrics(run, "resumed")
    assert resumed["promise"] == "compatible"
    assert list(resumed["differences"]) == ["train.steps=3 (asked for)", "train.batch_tokens was 256, is 512"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("book.md", "other.md", r"the data is not what the run was trained on \(train, validation differ\)"),
        ("validation = 0.2", "validation = 0.5", r"the data is not what the run was trained on \(train, validation"),
        ("vocab_size = 400", "vocab_size = 500", "tokenizer.vocab_size was 400, is 500, and a run keeps its tokenizer"),
        ("layers = 2", "layers = 3", r"the model in config.toml \(encoder.layers was 2, is 3; .*\)"),
    ],
)
def test_an_edit_that_would_make_another_run_is_refused(tmp_path, book, old, new, message):
    run = tmp_path / "run"
    lmkit.pretrain(recipe("mlm", book, steps=2), run=run, quiet=True)
    book.with_name("other.md").write_text(book.read_text() + "\n\nAnd more.\n")
    config = run / "config.toml"
    before = config.read_text()
    assert old in before
    config.write_text(before.replace(old, new).replace("steps = 2", "steps = 3"))
    with pytest.raises(lmkit.LmkitError, match=message):
        lmkit.resume(run, quiet=True)


def test_data_that_is_asked_for_by_a_key_with_spaces_is_refused_too(tmp_path, book):
    lmkit.pretrain(recipe("mlm", book, steps=2), run=tmp_path / "run", quiet=True)
    with pytest.raises(lmkit.RunError, match="the data is not what the run was trained on"):
        lmkit.resume(tmp_path / "run", overrides=[" data.validation = 0.5", "train.steps=3"], quiet=True)


def test_a_run_whose_first_weights_are_gone_is_not_begun_at_random(tmp_path, book):
    first = lmkit.pretrain(recipe("mlm", book, steps=1), run=tmp_path / "first", quiet=True)
    run = tmp_path / "second"
    lmkit.pretrain(recipe("mlm", book, steps=1), run=run, start_from=first, quiet=True)
    shutil.rmtree(run / "checkpoints")
    (run / "notes.txt").touch()
    with pytest.raises(lmkit.RunError, match="no checkpoint is left, and its first weights came from another run"):
        lmkit.resume(run, quiet=True)
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n' * 20)
    task = {"task": {"use": "classification"}, "data": {"train": ["rows.jsonl"]}, "train": {"steps": 1}}
    task["data"]["train"] = [str(tmp_path / "rows.jsonl")]
    tuned = lmkit.finetune(first, task, run=tmp_path / "tuned", quiet=True)
    shutil.rmtree(tuned.folder / "checkpoints")
    (tuned.folder / "report.html").touch()
    with pytest.raises(lmkit.RunError, match="no checkpoint is left"):
        lmkit.resume(tuned.folder, quiet=True)


def test_a_checkpoint_that_is_written_in_the_background_is_the_same(tmp_path: Path) -> None:
    """Bit for bit, and whole when training is over; and a write that fails is told."""
    (tmp_path / "text.txt").write_text("Robin Hood in greenwood stood, and under a tree was he.\n" * 100)
    recipe = {
        "tokenizer": {"use": "bpe", "vocab_size": 300},
        "data": {"train": [str(tmp_path / "text.txt")], "document": "line"},
        "encoder": {"use": "qwen3", "layers": 1, "width": 64},
        "objective": {"use": "clm"},
        "train": {
            "steps": 7,
            "block_tokens": 32,
            "batch_tokens": 128,
            "precision": "fp32",
            "compile": "off",
            "threads": 1,
        },
        "checkpoint": {"every_steps": 2, "keep": 9},
    }
    for name, background in (("front", False), ("back", True)):
        overrides = [f"checkpoint.background={str(background).lower()}"]
        lmkit.pretrain(recipe, run=tmp_path / name, overrides=overrides, quiet=True)
    files = {
        name: {
            str(path.relative_to(tmp_path / name)): path
            for path in (tmp_path / name / "checkpoints").rglob("*.safetensors")
        }
        for name in ("front", "back")
    }
    assert files["front"].keys() == files["back"].keys()
    assert len(files["front"]) == 8
    for name, path in files["front"].items():
        assert path.read_bytes() == files["back"][name].read_bytes(), name
    (tmp_path / "full").mkdir()
    run = tmp_path / "broken"

    def breaks(event: object) -> None:
        if isinstance(event, Stepped) and event.step == 3:
            (run / "checkpoints").rename(run / "elsewhere")
            (run / "checkpoints").write_text("a file")

    with pytest.raises(lmkit.CheckpointError, match="cannot be saved"):
        lmkit.pretrain(recipe, run=run, overrides=["checkpoint.background=true"], observers=[breaks], quiet=True)
