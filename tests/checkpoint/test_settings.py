"""The [checkpoint] table."""

import pytest

from lmkit.checkpoint import Checkpointing
from lmkit.config import describe, structure, unstructure
from lmkit.errors import ConfigError


@pytest.mark.parametrize(
    "settings", [Checkpointing(), Checkpointing(every_minutes=0), Checkpointing(every_steps=100, keep=1)], ids=str
)
def test_settings_survive_a_config_file(settings: Checkpointing) -> None:
    assert structure(Checkpointing, unstructure(settings), source="config.toml") == settings


def test_every_wrong_value_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        structure(
            Checkpointing, {"every_minutes": -1, "every_steps": 0, "keep": 0}, source="run.toml", path="checkpoint"
        )
    assert str(caught.value) == (
        "run.toml: 3 problems\n"
        "  checkpoint.every_minutes: 'every_minutes' must be >= 0: -1.0\n"
        "  checkpoint.every_steps: 'every_steps' must be >= 1: 0\n"
        "  checkpoint.keep: 'keep' must be >= 1: 0"
    )


def test_every_field_has_a_sentence() -> None:
    assert list(describe(Checkpointing)) == ["every_minutes", "every_steps", "background", "keep"]
