"""Checkpoints meet plugins that changed: absent, older, newer, renamed, with other weights; each has its sentence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import lmkit
from lmkit.registry import default_registry
from tests.conftest import MakeDistribution

FORMS = """
from torch import nn
from lmkit import hookimpl
from lmkit.testing.reference import ByteTokenizer, Denoising, ReferenceEncoder

@hookimpl
def lmkit_tokenizers():
    return {{"bytes": __name__ + ":Bytes"}}

@hookimpl
def lmkit_encoders():
    return {encoders}

@hookimpl
def lmkit_objectives():
    return {{"guess": __name__ + ":Guess"}}

class Bytes(ByteTokenizer):
    name = "bytes"
    formerly = ("lmkit-mix:bytes",)

class Guess(Denoising):
    name = "guess"
    formerly = ("lmkit-mix:guess",)

class Mixer(ReferenceEncoder):
    name = "{name}"
    {body}
"""


class Plugin:
    """A distribution that is installed, and then in another form."""

    def __init__(self, make: MakeDistribution, site: Path) -> None:
        self._make, self._site = make, site

    def install(self, version: str, *, dist: str = "lmkit-mix", name: str = "mixer", body: str = "pass") -> None:
        encoders = "{}" if name == "none" else f'{{"{name}": __name__ + ":Mixer"}}'
        source = FORMS.format(encoders=encoders, name=name, body=body)
        for info in self._site.glob("lmkit_mix*"):
            for file in info.iterdir() if info.is_dir() else [info]:
                file.unlink()
            if info.is_dir():
                info.rmdir()
        self._make(dist, version, source)
        default_registry.cache_clear()


@pytest.fixture
def plugin(distribution: MakeDistribution, tmp_path: Path) -> Plugin:
    return Plugin(distribution, tmp_path / "site")


@pytest.fixture
def run(tmp_path: Path, plugin: Plugin) -> lmkit.Run:
    plugin.install("1.2.0")
    text = tmp_path / "text.txt"
    text.write_text("Robin Hood in greenwood stood, and under a tree was he.\n" * 20)
    return lmkit.pretrain(recipe(text), run=tmp_path / "run", quiet=True)


@contextmanager
def warned(sentence: str) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    assert any(sentence in str(one.message) for one in said), [str(one.message) for one in said]


def recipe(text: Path, **encoder: Any) -> dict[str, Any]:
    return {
        "tokenizer": {"use": "bytes"},
        "data": {"train": [str(text)], "document": "line"},
        "encoder": {"use": "mixer", **encoder},
        "objective": {"use": "guess"},
        "train": {
            "steps": 2,
            "block_tokens": 32,
            "batch_tokens": 256,
            "precision": "fp32",
            "compile": "off",
            "threads": 1,
        },
    }


def test_a_newer_version_is_told_and_reads_it(plugin: Plugin, run: lmkit.Run) -> None:
    plugin.install("1.3.0")
    with warned('encoder "mixer" was saved by lmkit-mix 1.2.0 and is now of lmkit-mix 1.3.0'):
        again = lmkit.load(run.folder)
    assert again.encode("Robin").hidden.equal(run.encode("Robin").hidden)


def test_one_that_is_not_there_is_named_with_what_to_type(plugin: Plugin, run: lmkit.Run) -> None:
    plugin.install("1.3.0", name="none")
    wanted = r'encoder "mixer" of lmkit-mix 1\.2\.0 is needed: .* To get it: pip install "lmkit-mix==1\.2\.\*"'
    for ask in (lmkit.load, lmkit.resume):
        with pytest.raises(lmkit.CheckpointError, match=wanted):
            ask(run.folder)


def test_an_older_version_that_reads_less_is_refused(plugin: Plugin, run: lmkit.Run, tmp_path: Path) -> None:
    plugin.install("2.0.0", body="state_version = 2")
    newer = lmkit.pretrain(recipe(tmp_path / "text.txt"), run=tmp_path / "newer", quiet=True)
    plugin.install("1.2.0")
    with pytest.raises(
        lmkit.CheckpointError,
        match=r'"mixer" was saved in state version 2 by lmkit-mix 2\.0\.0, and lmkit-mix 1\.2\.0 reads up to 1\.',
    ):
        lmkit.load(newer.folder)
    assert run.step == 2


def test_weights_of_an_older_state_are_upgraded_by_the_plugin(plugin: Plugin, run: lmkit.Run) -> None:
    states = run.encode("Robin").hidden
    body = """state_version = 2
    def __init__(self, config, vocabulary):
        super().__init__(config, vocabulary)
        self.twice = nn.Parameter(__import__("torch").ones(()))
    @classmethod
    def upgrade(cls, weights, state_version):
        assert state_version == 1
        return {**weights, "twice": __import__("torch").full((), 2.0)}
"""
    plugin.install("2.0.0", body=body)
    with warned("is now of lmkit-mix 2.0.0"):
        again = lmkit.load(run.folder)
    assert again.encode("Robin").hidden.equal(states)
    assert float(again.module.encoder.twice.detach()) == 2
    plugin.install("2.1.0", body="state_version = 2")
    with (
        warned("is now of lmkit-mix 2.1.0"),
        pytest.raises(lmkit.FitError, match='"mixer" does not read weights of state version 1, only 2'),
    ):
        lmkit.load(run.folder)


@pytest.mark.parametrize(
    ("dist", "name", "formerly"),
    [("lmkit-mix", "conv-mixer", "mixer"), ("lmkit-mixes", "conv-mixer", "lmkit-mix:mixer")],
)
def test_a_renamed_one_is_found_by_its_former_name(
    plugin: Plugin, run: lmkit.Run, tmp_path: Path, dist: str, name: str, formerly: str
) -> None:
    states = run.encode("Robin").hidden
    plugin.install("2.0.0", dist=dist, name=name, body=f'formerly = ("{formerly}",)')
    with warned(f'encoder "mixer" was saved by lmkit-mix 1.2.0 and is now "conv-mixer" of {dist} 2.0.0'):
        again = lmkit.load(run.folder)
    assert again.encode("Robin").hidden.equal(states)
    assert lmkit.pretrain(recipe(tmp_path / "text.txt"), run=tmp_path / "more", quiet=True).step == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        resumed = lmkit.resume(run.folder, overrides=["train.steps=4"], quiet=True)
    assert resumed.step == 4
    assert resumed.parts.encoder.component.name == "conv-mixer"
    assert torch.isfinite(resumed.encode("Robin").hidden).all()
