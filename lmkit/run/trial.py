"""A trial: one example through each part, so that a part that does nonsense is named before anything is written."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from lmkit.batch import Batch
from lmkit.engine.device import choose
from lmkit.engine.settings import Training
from lmkit.errors import DataError, LmkitError, PluginError
from lmkit.parts.inference import evaluated
from lmkit.registry.component import told
from lmkit.run.training import Trainee

_ENCODER_ROLE = re.compile(r"hidden(/[1-9][0-9]*)?|embedding|scalar")
_FIRST = 64
"""Examples that are looked through for something to predict."""
_HEAD_ROLE = re.compile(r"head|scalar|hidden(/[1-9][0-9]*)?")


def trial(trainee: Trainee, settings: Training) -> None:
    """Raise PluginError with the name of the part whose roles, batch, states or losses are not what it promised.

    Raises DataError where there is nothing to predict.
    """
    chosen = trainee.parts.task or trainee.parts.objective
    assert chosen is not None
    encoder, objective = str(trainee.parts.encoder.component), str(chosen.component)
    device = choose(settings, long_run=False).device
    model = trainee.model.to(device)
    with _blamed(f"{objective}: weights"):
        terms = _checked_terms(model.objective.weights)
    with _blamed(f"{encoder}: roles"):
        _check_roles(model.encoder.roles(), model.encoder, _ENCODER_ROLE)
    with _blamed(f"{objective}: head_roles"):
        _check_roles(model.objective.head_roles(model.head), model.head, _HEAD_ROLE)
    with _blamed(f"{objective}: collate"):
        batch = model.objective.collate(trainee.source.examples(0, 1), progress=0.0)
        if not isinstance(batch, Batch):
            raise _Nonsense(f"a Batch, got {_shown(batch)}")
        _check_names("counts of", batch.counts, terms)
        for what, number in (*batch.counts.items(), ("tokens", batch.tokens)):
            if type(number) is not int or number < (what == "tokens"):
                raise _Nonsense(f'a whole number of "{what}", got {number!r:.40}')
        predictions = sum(batch.counts.values())
        if not predictions and len(trainee.source) > 1:  # one block may be odd, the first so many are not all
            several = trainee.source.examples(0, min(len(trainee.source), _FIRST))
            predictions = sum(model.objective.collate(several, progress=0.0).counts.values())
    if not predictions:
        raise DataError(
            f"{objective} finds nothing to predict in the training data: the first "
            f"{min(len(trainee.source), _FIRST)} examples have no token that it may ask for, as where all are unknown"
        )
    batch = batch.to(device)
    with evaluated(model):
        with _blamed(f"{encoder}: forward"):
            _check_shape("hidden states", model.encoder(batch.inputs), batch.inputs.tokens.numel(), model.encoder.width)
        with _blamed(f"{objective}: loss"):
            sums = model(batch)
            _check_names("sums of", sums, terms)
            for term, total in sums.items():
                _check_shape(f'"{term}"', total)
                if not total.is_floating_point() or not total.requires_grad:
                    raise _Nonsense(f'"{term}" with a gradient, got a tensor of {total.dtype} without one')


class _Nonsense(Exception):
    """What was expected of a part, and what it gave."""


@contextmanager
def _blamed(who: str) -> Iterator[None]:
    try:
        yield
    except (LmkitError, MemoryError):
        raise
    except _Nonsense as nonsense:
        raise PluginError(f"{who}: expected {nonsense}. {_ADVICE}") from None
    except (Exception, SystemExit) as error:
        raise PluginError(f"{who} failed: {told(error)}. {_ADVICE}") from error


_ADVICE = "This is a defect of the plugin: `lmkit plugins check` says more to its author"


def _check_roles(roles: Mapping[str, str], module: nn.Module, allowed: re.Pattern[str]) -> None:
    parameters = dict(module.named_parameters())
    _check_names("a role for each of", roles, parameters)
    for name, role in roles.items():
        if not isinstance(role, str) or not allowed.fullmatch(role):
            raise _Nonsense(f"a role such as {allowed.pattern} for {name}, got {role!r}")
        matrix, stack = parameters[name], int(role.partition("/")[2] or 1)
        if role.startswith("hidden") and (matrix.ndim != 2 or matrix.shape[0] % stack):
            raise _Nonsense(f'{stack} matrices in {name}, whose role is "{role}", got shape {list(matrix.shape)}')


def _checked_terms(weights: object) -> list[str]:
    if not isinstance(weights, Mapping) or not weights:
        raise _Nonsense(f"a weight for each loss term, got {_shown(weights)}")
    for term, weight in weights.items():
        if not isinstance(weight, (int, float)) or not math.isfinite(weight):
            raise _Nonsense(f'a number as weight of "{term}", got {weight!r:.40}')
    return list(weights)


def _check_names(what: str, given: object, wanted: Iterable[str]) -> None:
    names = sorted(wanted)
    if not isinstance(given, Mapping) or sorted(given) != names:
        raise _Nonsense(f"{what} {names}, got {sorted(given) if isinstance(given, Mapping) else _shown(given)}")


def _check_shape(what: str, given: object, *wanted: int) -> None:
    if not isinstance(given, Tensor) or given.shape != wanted:
        raise _Nonsense(f"{what} of shape {list(wanted)}, got {_shown(given)}")


def _shown(given: object) -> str:
    return f"shape {list(given.shape)}" if isinstance(given, Tensor) else type(given).__name__
