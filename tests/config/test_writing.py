"""Files that lmkit writes: sentences beside values, and nothing that could not be read back."""

from __future__ import annotations

import attrs
import pytest

from lmkit import config
from lmkit.errors import ConfigError


@attrs.frozen(kw_only=True)
class Warm:
    share: float = 0.1
    """Share of the budget."""


@attrs.frozen(kw_only=True)
class Bert:
    layers: int = 4
    """Transformer blocks,
    first to last."""
    heads: int = 4
    limit: float | None = None
    """Most of it, where there is a most."""


def test_a_none_that_a_file_cannot_say_is_refused() -> None:
    @attrs.frozen
    class Clip:
        norm: float | None = 1.0

    with pytest.raises(ConfigError, match=r"norm: None cannot be written to a file"):
        config.unstructure(Clip(None))


def test_each_field_is_described_by_the_sentence_below_it() -> None:
    assert config.describe(Bert) == {
        "layers": "Transformer blocks, first to last.",
        "limit": "Most of it, where there is a most.",
    }

    @attrs.frozen(kw_only=True)
    class Modern(Bert):
        heads: int = 6
        """How many look."""

    assert config.describe(Modern) == {**config.describe(Bert), "heads": "How many look."}


def test_a_commented_file_says_what_each_value_means() -> None:
    @attrs.frozen(kw_only=True)
    class Small:
        layers: int = 4
        """Transformer blocks."""
        limit: float | None = None
        """Most of it, where there is a most; a sentence so long that it cannot stand beside its value but above it."""
        bare: bool = True
        paths: tuple[str, ...] = ("a/*.md", 'b "c"')
        """Files."""
        warm: Warm = attrs.field(factory=Warm)

    assert config.commented({"": ({"seed": 1}, None), "encoder": ({"use": "bert"}, Small())}) == (
        "seed = 1\n"
        "\n"
        "[encoder]\n"
        'use = "bert"\n'
        "layers = 4                              # Transformer blocks.\n"
        "# Most of it, where there is a most; a sentence so long that it cannot stand beside its value but above it.\n"
        "# limit =\n"
        "bare = true\n"
        'paths = ["a/*.md", "b \\"c\\""]           # Files.\n'
        "[encoder.warm]\n"
        "share = 0.1\n"
    )
