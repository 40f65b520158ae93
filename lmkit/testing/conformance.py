"""The two doors of the kit: `conformance` for pytest, `run_checks` for a Report. Kinds are told by their interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
import torch

from lmkit.batch import Example
from lmkit.config import override, structure
from lmkit.errors import ConfigError, FitError, PluginError
from lmkit.interfaces import Encoder, Objective, Task, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.registry import Component
from lmkit.testing import (
    encoder_members,
    encoder_states,
    encoder_training,
    objective_batches,
    objective_training,
    plugins,
    task_answers,
    task_examples,
    tokenizers,
)
from lmkit.testing.check import Check
from lmkit.testing.reference import ByteTokenizer
from lmkit.testing.results import Report, report
from lmkit.testing.subjects import EncoderSubject, ObjectiveSubject, TaskSubject, TokenizerSubject

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet


def conformance(component: type[Any] | str, config: Any = None, **more: Any) -> list[ParameterSet]:
    """The checks of a component as parameters of a pytest function, one case each; arguments as for `checks`."""
    import pytest

    return [pytest.param(check, id=check.name) for check in checks(component, config, **more)]


def run_checks(component: type[Any] | str, config: Any = None, **more: Any) -> Report:
    """What the checks of a component find; arguments as for `checks`."""
    name = component if isinstance(component, str) else f'{_kind(component)} "{component.name}"'
    return report(name, checks(component, config, **more))


def configured(component: Component, assignments: Sequence[str]) -> Any:
    """A component's Config with fields as in "label_column=year"; raises ConfigError for what it does not have."""
    fields = override({}, assignments)
    return structure(component.load().Config, fields, source="--set", owner=str(component))


def checks(
    component: type[Any] | str,
    config: Any = None,
    *,
    expected_failures: Mapping[str, str] | None = None,
    tokenizer: Tokenizer | None = None,
    examples: Sequence[Example] | None = None,
    rows: Sequence[Row] | None = None,
    right: Callable[[Any, Row], bool] | None = None,
) -> list[Check]:
    """The checks of a tokenizer, encoder, objective or task with this config, or of a plugin by its name.

    Without a config it is that of all defaults, which `smaller` makes a quarter as wide where an encoder offers it.
    `expected_failures` maps a check's name to the reason why it fails; such a check must fail.  `tokenizer` replaces
    the reference.  `examples`, at least 8, are for an objective that wants targets; `rows`, at least 4, for a task
    that wants more than a text, and `right` says whether an answer to a row is right, once the row was trained on.
    Raises ConfigError for a check that does not exist, or a Config that has to be given.
    """
    tokenizer = tokenizer or ByteTokenizer.train(ByteTokenizer.Config(), ())
    if isinstance(component, str):
        found = plugins.CHECKS.of(plugins.PluginSubject(component))
    else:
        kind = _kind(component)
        if config is None:
            config = _default(component, kind, tokenizer)
        found = _of_component(kind, component, config, tokenizer, examples, rows, right)
    expected = dict(expected_failures or {})
    known = [check.name for check in found]
    if unknown := sorted(expected.keys() - set(known)):
        problems = [f"no check is named {name!r}; there are {', '.join(known)}" for name in unknown]
        raise ConfigError("expected_failures", problems)
    return [attrs.evolve(check, expected_failure=expected.get(check.name, "")) for check in found]


def _of_component(
    kind: str,
    component: type[Any],
    config: Any,
    tokenizer: Tokenizer,
    examples: Sequence[Example] | None,
    rows: Sequence[Row] | None,
    right: Callable[[Any, Row], bool] | None,
) -> list[Check]:
    if kind == "tokenizer":
        return tokenizers.CHECKS.of(TokenizerSubject(component, config))
    if kind == "encoder":
        encoder = EncoderSubject(component, config, tokenizer)
        kinds = (encoder_states.CHECKS, encoder_members.CHECKS, encoder_training.CHECKS)
        return [check for checks in kinds for check in checks.of(encoder)]
    if kind == "objective":
        objective = ObjectiveSubject(component, config, tokenizer, examples)
        return [*objective_batches.CHECKS.of(objective), *objective_training.CHECKS.of(objective)]
    task = TaskSubject(component, config, tokenizer, rows, right)
    return [*task_examples.CHECKS.of(task), *task_answers.CHECKS.of(task)]


def _kind(component: type[Any]) -> str:
    for interface in (Tokenizer, Encoder, Objective, Task):
        if isinstance(component, type) and issubclass(component, interface):
            return interface.__name__.lower()
    raise PluginError(
        f"expected a subclass of lmkit.Tokenizer, Encoder, Objective or Task, or a plugin's name, got {component!r}"
    )


def _default(component: type[Any], kind: str, tokenizer: Tokenizer) -> Any:
    """The Config of all defaults; an encoder that can be made smaller becomes a quarter as wide, to train quickly."""
    try:
        config = component.Config()
    except TypeError as error:
        raise ConfigError(f'{kind} "{component.name}"', [f"give its Config, which has no default: {error}"]) from None
    if kind == "encoder":
        with suppress(FitError), torch.random.fork_rng(devices=[]):
            return component(config, tokenizer.vocabulary).smaller(0.25)
    return config
