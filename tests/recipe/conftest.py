"""Toy components of an installed distribution, and files that choose them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TOY = """
from lmkit import hookimpl

@hookimpl
def lmkit_tokenizers():
    return {"letters": "toy_parts:Letters"}

@hookimpl
def lmkit_encoders():
    return {"mixer": "toy_parts:Mixer"}

@hookimpl
def lmkit_objectives():
    return {"guess": "toy_parts:Guess"}

@hookimpl
def lmkit_tasks():
    return {"echo": "toy_parts:Echo"}
"""

PARTS = '''
import attrs
from lmkit import Encoder, Objective, Task, Tokenizer
from pathlib import Path

@attrs.frozen(kw_only=True)
class LettersConfig:
    vocab_size: int = 100
    """How many."""

@attrs.frozen(kw_only=True)
class MixerConfig:
    layers: int = attrs.field(default=2, validator=attrs.validators.ge(1))
    """Blocks."""
    words: Path | None = None
    """A list of words."""

@attrs.frozen(kw_only=True)
class GuessConfig:
    rate: float = 0.3
    """Share that is guessed."""

@attrs.frozen(kw_only=True)
class EchoConfig:
    column: str
    """Column of the text."""

class Letters(Tokenizer):
    name, Config, vocabulary = "letters", LettersConfig, None
    train = load = classmethod(lambda cls, *given: cls())
    save = encode = encode_batch = decode = wrap = lambda self, *given: None

class Mixer(Encoder):
    name, Config, attention = "mixer", MixerConfig, frozenset({"causal"})
    def __init__(self, config, vocabulary): ...
    def forward(self, inputs): ...

class Guess(Objective):
    name, Config, head_kind, attention, weights = "guess", GuessConfig, "token", "causal", {}
    __init__ = build_head = collate = loss = lambda self, *given: None

class Echo(Task):
    name, Config, reads = "echo", EchoConfig, frozenset({"token"})
    __init__ = build_objective = examples = predict = lambda self, *given: None
'''

RUN = """
seed = 7
[tokenizer]
use = "letters"
[data]
train = ["books/train/**/*.md", { path = "$LMKIT_ELSEWHERE/web", weight = 2 }]
validation = 0.01
[encoder]
use = "toy:mixer"
layers = 3
words = "words.txt"
[objective]
use = "guess"
[train]
tokens = "10M"
"""


@pytest.fixture
def toy(distribution: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module with the toy components, of an installed distribution "toy"."""
    (distribution("toy", "1.0", TOY).parent / "toy_parts.py").write_text(PARTS)
    monkeypatch.setenv("LMKIT_ELSEWHERE", "/elsewhere")
    import toy_parts  # type: ignore[import-not-found]

    return toy_parts


@pytest.fixture
def run_toml(tmp_path: Path) -> Path:
    file = tmp_path / "project" / "run.toml"
    file.parent.mkdir()
    file.write_text(RUN)
    return file


@pytest.fixture
def tables() -> dict[str, Any]:
    """The least that pre-training needs."""
    return {
        "tokenizer": {"use": "letters"},
        "data": {"train": ["books"]},
        "encoder": {"use": "mixer"},
        "objective": {"use": "guess"},
        "train": {"steps": 10},
    }
