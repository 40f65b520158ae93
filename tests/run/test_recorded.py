"""A state.json that somebody has edited and hashed anew: each thing in it that no run writes is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import lmkit
from tests.checkpoint.conftest import reseal
from tests.run.recipes import metrics, recipe

Edit = Callable[[dict[str, Any]], Any]

EDITS: dict[str, tuple[Edit, str]] = {
    "without the engine": (lambda s: s.pop("engine"), "engine: required"),
    "another step": (lambda s: s["engine"].update(step=7), "does not stand where a run of step 2 does"),
    "a negative position": (lambda s: s["engine"].update(position=-1), "does not stand where"),
    "a number as text": (lambda s: s["engine"].update(position="0"), "engine.position: expected int, got str '0'"),
    "an unknown field": (lambda s: s["engine"].update(positon=1), "positon"),
    "another device": (lambda s: s["engine"]["choices"].update(device="tpu:0"), "no run is made on 'tpu:0'"),
    "no threads": (lambda s: s["engine"]["choices"].update(threads=0), "out of all bounds"),
    "endless threads": (lambda s: s["environment"].update(threads=1 << 40), "out of all bounds"),
    "no environment": (lambda s: s.pop("environment"), "environment: required"),
    "labels that are none": (lambda s: s.update(labels=[{}]), "labels"),
    "tokens from elsewhere": (lambda s: s["data"].update(train=["../../secret"]), "what it says of the data"),
    "no text": (lambda s: s.update(data={}), "does not say what text the run reads"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, book: Path) -> Path:
    return lmkit.pretrain(recipe("clm", book, steps=2), run=tmp_path_factory.mktemp("run") / "run", quiet=True).folder


@pytest.mark.parametrize("edit", EDITS)
def test_a_state_that_no_run_writes_is_told(whole: Path, tmp_path: Path, edit: str) -> None:
    change, said = EDITS[edit]
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    checkpoint = run / "checkpoints" / "step-00000002"
    state = json.loads((checkpoint / "state.json").read_text())
    change(state)
    (checkpoint / "state.json").write_text(json.dumps(state))
    reseal(checkpoint)
    with pytest.raises(lmkit.IntegrityError) as caught:
        lmkit.resume(run, overrides=["train.steps=3"], quiet=True)
    assert said in str(caught.value)
    assert str(checkpoint) in str(caught.value)
    if edit != "no text":  # which a run that answers has no need of
        with pytest.raises(lmkit.IntegrityError):
            lmkit.load(run)


@pytest.mark.skipif(torch.cuda.is_available(), reason="here it goes on where it was")
def test_a_run_from_a_gpu_goes_on_without_one(whole: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    checkpoint = run / "checkpoints" / "step-00000002"
    state = json.loads((checkpoint / "state.json").read_text())
    state["engine"]["choices"]["device"] = "cuda"
    (checkpoint / "state.json").write_text(json.dumps(state))
    reseal(checkpoint)
    assert lmkit.resume(run, overrides=["train.steps=3"], quiet=True).step == 3
    [resumed] = metrics(run, "resumed")
    assert "device was cuda, is cpu" in resumed["differences"]


def test_a_run_that_is_done_says_so_and_does_nothing(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    before = (run / "metrics.jsonl").read_bytes()
    assert lmkit.resume(run).step == 2
    assert (run / "metrics.jsonl").read_bytes() == before
    said = capsys.readouterr().err
    assert said == f"{run}: finished already; to train on, give it a larger budget, as by --set train.steps=4\n"


@pytest.mark.parametrize("config", ["task = 3\n", '[task]\nuse = "classification"\n'])
def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path, book: Path, config: str) -> None:
    place = tmp_path / "notes"
    place.mkdir()
    (place / "config.toml").write_text(config)
    (place / "diary.txt").write_text("mine")
    with pytest.raises(lmkit.RunError, match="already there"):
        lmkit.pretrain(recipe("clm", book, steps=1), run=place, quiet=True)
    assert (place / "config.toml").read_text() == config
    assert sorted(path.name for path in place.iterdir()) == ["config.toml", "diary.txt"]


@pytest.mark.parametrize("kind", [torch.bool, torch.int32, torch.float16], ids=str)
@pytest.mark.parametrize("stem", ["model", "optimizer"])
def test_tensors_of_another_kind_are_not_taken_for_weights(
    whole: Path, tmp_path: Path, stem: str, kind: torch.dtype
) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    checkpoint = run / "checkpoints" / "step-00000002"
    tensors = load_file(checkpoint / f"{stem}.safetensors")
    save_file({name: tensor.to(kind) for name, tensor in tensors.items()}, checkpoint / f"{stem}.safetensors")
    reseal(checkpoint)
    with pytest.raises(lmkit.CheckpointError, match=f"is of {kind}, wanted torch.float32"):
        lmkit.resume(run, overrides=["train.steps=3"], quiet=True)
    if stem == "model":
        with pytest.raises(lmkit.CheckpointError, match=f"is of {kind}, wanted torch.float32"):
            lmkit.load(run)


def test_a_tokenizer_that_makes_the_library_panic_is_told(whole: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    file = run / "checkpoints" / "step-00000002" / "tokenizer" / "tokenizer.json"
    pipeline = json.loads(file.read_text())
    pipeline["model"]["continuing_subword_prefix"] = "##"
    file.write_text(json.dumps(pipeline))
    reseal(file.parents[1])
    with pytest.raises(lmkit.IntegrityError, match=r"tokenizer\.json: not a tokenizer"):
        lmkit.load(run)


def test_weights_that_are_no_numbers_are_not_asked(whole: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    checkpoint = run / "checkpoints" / "step-00000002"
    tensors = load_file(checkpoint / "model.safetensors")
    name = next(name for name in sorted(tensors) if name.startswith("encoder."))
    tensors[name].view(-1)[0] = float("nan")
    save_file(tensors, checkpoint / "model.safetensors")
    reseal(checkpoint)
    with pytest.raises(lmkit.CheckpointError, match=f"{name} has numbers that are not finite"):
        lmkit.load(run)
