"""A plugin that does nonsense is named, with what was expected, before a run's folder exists."""

from __future__ import annotations

import pytest

import lmkit
from tests.run.recipes import recipe

PLUGIN = '''
from typing import ClassVar
import attrs
import torch
from torch import nn
from lmkit import Encoder, Objective, hookimpl
from lmkit.batch import Batch, pack

@attrs.frozen
class Config:
    """Nothing to choose."""

class Plain(Encoder):
    name = "plain"
    Config = Config
    attention = frozenset({"bidirectional"})
    def __init__(self, config, vocabulary):
        super().__init__(config, vocabulary)
        self.width = 8
        self.token_embedding = nn.Embedding(vocabulary.size, 8)
        self.mix = nn.Linear(8, 8)
    def forward(self, inputs):
        states = self.mix(self.token_embedding(inputs.tokens))
        FORWARD
        return states
    def roles(self):
        roles = dict(super().roles())
        ROLES
        return roles

class Small(Objective[Batch]):
    name = "small"
    Config = Config
    head_kind = "scale"
    attention = "bidirectional"
    def __init__(self, config, vocabulary): ...
    @property
    def weights(self):
        weights = {"small": 1.0}
        WEIGHTS
        return weights
    def build_head(self, encoder):
        return nn.Linear(encoder.width, 1)
    def collate(self, examples, *, progress):
        inputs, _ = pack(examples, attention="bidirectional", filler=0)
        batch = Batch(inputs=inputs, counts={"small": inputs.tokens.numel()}, tokens=inputs.tokens.numel())
        COLLATE
        return batch
    def loss(self, encoder, head, batch):
        losses = {"small": head(encoder(batch.inputs)).square().sum()}
        LOSS
        return losses
    def head_roles(self, head):
        roles = {"weight": "head", "bias": "scalar"}
        HEAD_ROLES
        return roles

@hookimpl
def lmkit_encoders():
    return {"plain": f"{__name__}:Plain"}

@hookimpl
def lmkit_objectives():
    return {"small": f"{__name__}:Small"}
'''

PLACES = ("FORWARD", "ROLES", "COLLATE", "LOSS", "HEAD_ROLES", "WEIGHTS")


def train(tmp_path, book, steps=1, **nonsense):
    text = PLUGIN
    for place in sorted(PLACES, key=len, reverse=True):
        text = text.replace(place, nonsense.get(place, "pass"))
    (tmp_path / "mine.py").write_text(text)
    table = recipe("mlm", book, steps=steps)
    table |= {"encoder": {"use": "plain"}, "objective": {"use": "small"}, "plugins": [str(tmp_path / "mine.py")]}
    return lmkit.pretrain(table, run=tmp_path / "run", quiet=True)


@pytest.mark.parametrize(
    ("place", "code", "message"),
    [
        ("FORWARD", "states = None", "forward: expected hidden states of shape [32, 8], got NoneType"),
        ("FORWARD", "states = states[1:]", "forward: expected hidden states of shape [32, 8], got shape [31, 8]"),
        ("FORWARD", "states = states @ states", "forward failed: RuntimeError: mat1 and mat2"),
        ("ROLES", "del roles['mix.weight']", "roles: expected a role for each of ['mix.bias', 'mix.weight', 'token_"),
        ("ROLES", "roles['mix.weight'] = 'hiden'", "for mix.weight, got 'hiden'"),
        (
            "ROLES",
            "roles['mix.bias'] = 'hidden'",
            'expected 1 matrices in mix.bias, whose role is "hidden", got shape [8]',
        ),
        ("ROLES", "roles['mix.weight'] = 'hidden/3'", "expected 3 matrices in mix.weight"),
        ("ROLES", "roles = None", "roles: expected a role for each of"),
        ("COLLATE", "batch = inputs", "collate: expected a Batch, got Packed"),
        ("COLLATE", "batch.counts['large'] = 1", "collate: expected counts of ['small'], got ['large', 'small']"),
        ("COLLATE", "1 / 0", "collate failed: ZeroDivisionError: division by zero"),
        ("LOSS", "losses = losses['small']", "loss: expected sums of ['small'], got shape []"),
        ("LOSS", "losses = {}", "loss: expected sums of ['small'], got []"),
        ("LOSS", "losses['small'] = torch.ones(3)", 'loss: expected "small" of shape [], got shape [3]'),
        ("LOSS", "losses['small'] = losses['small'].detach()", 'loss: expected "small" with a gradient'),
        ("LOSS", "losses['small'] = losses['small'].long()", 'loss: expected "small" with a gradient'),
        ("COLLATE", "batch.counts['small'] = 1.5", 'collate: expected a whole number of "small", got 1.5'),
        ("COLLATE", "batch = attrs.evolve(batch, tokens=0)", 'collate: expected a whole number of "tokens", got 0'),
        ("WEIGHTS", "weights = None", "weights: expected a weight for each loss term, got NoneType"),
        ("WEIGHTS", "weights = {'small': 'x'}", "weights: expected a number as weight of \"small\", got 'x'"),
        ("HEAD_ROLES", "roles['bias'] = 'embedding'", "head_roles: expected a role such as head|scalar"),
    ],
)
def test_the_part_that_does_nonsense_is_named(tmp_path, book, place, code, message):
    with pytest.raises(lmkit.PluginError) as raised:
        train(tmp_path, book, **{place: code})
    part = 'encoder "plain"' if place in ("FORWARD", "ROLES") else 'objective "small"'
    assert str(raised.value).startswith(f"{part} (local file mine.py sha256:")
    assert message in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_a_plugin_that_leaves_in_the_middle_is_no_success(tmp_path, book):
    with pytest.raises(lmkit.PluginError, match=r"a plugin left in the middle of training: SystemExit"):
        train(tmp_path, book, steps=9, COLLATE="if progress: raise SystemExit(0)")


def test_without_nonsense_it_trains(tmp_path, book):
    assert train(tmp_path, book).step == 1
