"""A run's folder, and checkpoints in it whose every value follows from their step."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from lmkit.checkpoint import Checkpoint, save
from lmkit.checkpoint.manifest import MANIFEST, File, Manifest, files_of

COMPONENTS = [
    {
        "kind": "encoder",
        "name": "mixer",
        "distribution": "lmkit-foo",
        "version": "1.2.3",
        "state_version": 2,
        "config": {"layers": 2, "dropout": 0.1, "sizes": [4, 8], "norm": {"name": "rms", "bias": None}},
    }
]


def tensors_of(step: int) -> dict[str, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(step)
    return {
        "model": {"weight": torch.randn(16, 8, generator=generator), "bias": torch.randn(8, generator=generator)},
        "optimizer": {"weight.m": torch.randn(16, 8, generator=generator), "bias.m": torch.zeros(8)},
    }


def state_of(step: int) -> dict[str, Any]:
    return {"step": step, "seconds": step / 3, "recent": [1.0, 0.1]}


def write_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"vocabulary": ["a", "b"]}')
    (folder / "special.txt").write_text("[PAD]\n")


def save_step(run: Path, step: int, **changes: Any) -> Path:
    wanted: dict[str, Any] = {
        "tensors": tensors_of(step),
        "state": state_of(step),
        "components": COMPONENTS,
        "folders": {"tokenizer": write_tokenizer},
        "keep": 2,
    }
    return save(run, step, **(wanted | changes))


def assert_is_whole(checkpoint: Checkpoint, step: int) -> None:
    assert checkpoint.step == step
    assert checkpoint.state == state_of(step)
    assert checkpoint.components == COMPONENTS
    wanted = tensors_of(step)
    assert checkpoint.stems == sorted(wanted)
    for stem, named in wanted.items():
        found = checkpoint.tensors(stem)
        assert found.keys() == named.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in named.items())
    assert (checkpoint.folder("tokenizer") / "special.txt").read_text() == "[PAD]\n"


def reseal(path: Path, **changes: Any) -> None:
    """What an attacker, or a person with an editor and time, does: a manifest that says what is there now."""
    manifest = Manifest.from_bytes((path / MANIFEST).read_bytes(), path)
    files = {name: File.of(path / name) for name in files_of(path) if name != MANIFEST}
    (path / MANIFEST).write_bytes(attrs.evolve(manifest, **({"files": files} | changes)).to_bytes())


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def write(run: Path) -> Callable[..., Path]:
    """Saves the checkpoint of a step into `run`."""
    return partial(save_step, run)


@pytest.fixture(name="save_step")
def _save_step() -> Callable[..., Path]:
    return save_step


@pytest.fixture(name="assert_is_whole")
def _assert_is_whole() -> Callable[[Checkpoint, int], None]:
    return assert_is_whole


@pytest.fixture(name="reseal")
def _reseal() -> Callable[..., None]:
    return reseal
