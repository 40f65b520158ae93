"""Checks that every kind of component shares: of its Config, and of what it says where special tokens are missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from lmkit.config import describe
from lmkit.errors import FitError
from lmkit.interfaces import Tokenizer
from lmkit.testing.check import expect
from lmkit.testing.reference import ByteTokenizer


def check_config(config: Any, given: Any) -> None:
    """A Config is a frozen attrs class, keyword only, with a sentence under each field, and equal when made again."""
    expect(attrs.has(config), "Config to be an attrs class", config, "@attrs.frozen(kw_only=True) is missing")
    fields = attrs.fields(config)
    sentences = describe(config)
    undescribed = [field.name for field in fields if field.alias not in sentences]
    expect(
        not undescribed, "a sentence under each field of Config", f"none under {undescribed}", "a docstring is missing"
    )
    positional = [field.name for field in fields if field.init and not field.kw_only]
    expect(not positional, "a Config of keywords only", f"{positional} by position", "kw_only=True is missing")
    expect(isinstance(given, config), f"a {config.__name__}", repr(given), "the config of another component was given")
    again = attrs.evolve(given)
    expect(
        again == given, "two configs of the same values to be equal", f"{again} and {given}", "eq=False, or a mutable"
    )
    try:
        for field in fields:
            setattr(given, field.name, getattr(given, field.name))
    except attrs.exceptions.FrozenInstanceError:
        return
    expect(not fields, "a Config that cannot be changed", "one that can", "@attrs.define instead of @attrs.frozen")


def check_missing_tokens(build: Callable[[Tokenizer], Any]) -> None:
    """Where only a pad token exists, a component is built or refused with a FitError that says what is missing."""
    tokenizer = ByteTokenizer(ByteTokenizer.Config(roles=("pad",)))
    try:
        build(tokenizer)
    except FitError as error:
        expect(len(str(error)) > 20, "a sentence that says which token is missing", f"{error!r}", "an empty FitError")
    except Exception as error:
        came = f"{type(error).__name__}: {error}"
        expect(
            False, "a FitError from __init__ where a special token is missing", came, "special[...] is not asked first"
        )
