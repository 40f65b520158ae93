"""matrix: which tokenizers, encoders, objectives and tasks fit together, and why the others do not.

Each component is imported and built once, small: a tokenizer learns from a sentence, an encoder is made smaller where
it says how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import attrs

from lmkit.errors import FitError, LmkitError, UnknownComponentError
from lmkit.interfaces import Encoder, Objective, Tokenizer, Vocabulary
from lmkit.model import build_model, why_not_task
from lmkit.registry import INTERFACES, Component, Registry
from lmkit.run.starter import fields_for

SAMPLE = "Then Robin Hood drew his bow, and the sheriff's men ran to the trees of Sherwood.\n"
LABELS = ("one", "other")
LONGEST = 16  # tokens that an encoder has to be able to read


@attrs.frozen
class Pair:
    """Two components, by how a config names them; an empty `reason` where they fit."""

    first: str
    second: str
    reason: str


def matrix(registry: Registry, only: str | None = None) -> dict[str, Any]:
    """Pairs of installed components, in a table for each two kinds that meet, and how many of each fit.

    `only` is the component whose pairs are wanted, by how a config names it; raises UnknownComponentError for no such.

    "objective x task" says which tasks read an objective's head without fine-tuning, "task x encoder" which can be
    fine-tuned on which encoder.  `triples` counts tokenizer x encoder x objective of all that is installed;
    encoders take any vocabulary.
    """
    if only is not None and all(only != component.use for component in registry.components()):
        known = ", ".join(sorted({component.use for component in registry.components()}))
        raise UnknownComponentError(f'no component is named "{only}". Installed: {known}')
    made: dict[str, dict[str, Any]] = {kind: dict(_built(registry, kind)) for kind in INTERFACES}
    tokenizers = [tokenizer for tokenizer in made["tokenizer"].values() if isinstance(tokenizer, Tokenizer)]

    def learns(tokenizer: Any, objective: Any) -> tuple[Objective[Any], Vocabulary]:
        if fields := fields_for(objective, type(tokenizer)):
            tokenizer = tokenizer.train(tokenizer.Config(**fields), [SAMPLE])
        return objective(objective.Config(), tokenizer.vocabulary), tokenizer.vocabulary

    def trains(objective: Any, encoder: Any) -> None:
        _model(encoder, *_first_that_fits(lambda tokenizer: learns(tokenizer, objective), tokenizers))

    def tunes(task: Any, encoder: Any) -> None:
        def objective(tokenizer: Tokenizer) -> tuple[Objective[Any], Vocabulary]:
            return task(task.Config(), tokenizer).build_objective(LABELS), tokenizer.vocabulary

        _model(encoder, *_first_that_fits(objective, tokenizers))

    def reads(objective: Any, task: Any) -> None:
        if reason := why_not_task(task, objective.head_kind):
            raise FitError(reason)

    def asks(tokenizer: Any, task: Any) -> None:
        task(task.Config(), tokenizer)

    tests: Mapping[str, Callable[[Any, Any], object]] = {
        "tokenizer x objective": learns,
        "objective x encoder": trains,
        "tokenizer x task": asks,
        "objective x task": reads,
        "task x encoder": tunes,
    }
    tables = {name: _table(made, name, test, only) for name, test in tests.items()}
    fitting = {name: sum(not pair.reason for pair in pairs) for name, pairs in tables.items()}
    if only is not None:
        return {"tables": tables, "fitting": fitting}
    encoders = [pair.first for pair in tables["objective x encoder"] if not pair.reason]
    triples = sum(encoders.count(pair.second) for pair in tables["tokenizer x objective"] if not pair.reason)
    return {"tables": tables, "fitting": fitting, "triples": triples}


def _built(registry: Registry, kind: str) -> Iterator[tuple[str, Any]]:
    """Each component of this kind: a tokenizer that was trained, the class of any other, or why it cannot be had."""
    for component in registry.components():
        if component.kind == kind:
            yield component.use, _made(component)


def _made(component: Component) -> Any:
    try:
        cls = component.load()
        return cls.train(cls.Config(), [SAMPLE]) if component.kind == "tokenizer" else cls
    except LmkitError as error:
        return str(error)
    except TypeError:
        return f"{component} has a Config with fields that have to be given"


def _first_that_fits(
    build: Callable[[Tokenizer], tuple[Objective[Any], Vocabulary]], tokenizers: Sequence[Tokenizer]
) -> tuple[Objective[Any], Vocabulary]:
    """What is built of the first tokenizer that has what is needed; raises the last FitError where none has."""
    reason = FitError("no tokenizer is installed")
    for tokenizer in tokenizers:
        try:
            return build(tokenizer)
        except FitError as error:
            reason = error
    raise reason


def _model(encoder: type[Encoder], objective: Objective[Any], vocabulary: Vocabulary) -> None:
    config = encoder.Config()
    with suppress(FitError):  # it may not say how
        config = encoder(config, vocabulary).smaller(0.25)
    build_model(encoder, config, objective, vocabulary, seed=1, longest=LONGEST)


def _table(
    made: Mapping[str, Mapping[str, Any]], name: str, test: Callable[[Any, Any], object], only: str | None
) -> list[Pair]:
    first_kind, second_kind = name.split(" x ")
    return [
        Pair(one, other, _why_not(made[first_kind][one], made[second_kind][other], test))
        for one in made[first_kind]
        for other in made[second_kind]
        if only in (None, one, other)
    ]


def _why_not(first: Any, second: Any, test: Callable[[Any, Any], object]) -> str:
    for found in (first, second):
        if isinstance(found, str):
            return found
    try:
        test(first, second)
    except LmkitError as error:
        return str(error)
    except TypeError as error:
        return f"a Config has fields that have to be given: {error}"
    return ""
