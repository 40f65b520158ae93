"""Checks of what an objective makes of examples: its batches are pure, its counts true, its terms sums."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np
import torch
from torch import Tensor

from lmkit.batch import Example
from lmkit.engine.distributed import Processes
from lmkit.engine.feed import Feed, Plan
from lmkit.model import Model
from lmkit.testing.check import Checks, DoesNotApply, Failed, expect
from lmkit.testing.common import check_config, check_missing_tokens
from lmkit.testing.comparison import differences, leaves
from lmkit.testing.generators import seeded
from lmkit.testing.subjects import ObjectiveSubject

CHECKS: Checks[ObjectiveSubject] = Checks()


@CHECKS.add
def config_is_closed(subject: ObjectiveSubject) -> None:
    """Its Config is a frozen attrs class with a sentence under each field."""
    check_config(subject.component.Config, subject.config)


@CHECKS.add
def missing_tokens_are_told(subject: ObjectiveSubject) -> None:
    """A vocabulary without the special tokens that it needs is refused with a FitError."""
    check_missing_tokens(lambda tokenizer: subject.component(subject.config, tokenizer.vocabulary))


@CHECKS.add
def terms_agree(subject: ObjectiveSubject) -> None:
    """Weights, counts and losses have the same terms; losses are finite scalars, counts whole numbers."""
    model = subject.model()
    weights = model.objective.weights
    expect(len(weights) > 0, "at least one term in weights", "none", "weights is empty")
    expect(all(map(math.isfinite, weights.values())), "finite weights", weights, "a division by zero")
    for examples in subject.kinds:
        batch = model.objective.collate(examples, progress=0.5)
        wrong = {t: c for t, c in batch.counts.items() if type(c) is not int or c < 0}
        expect(not wrong, "counts that are int and not negative", wrong, "a tensor or numpy number: wrap it in int()")
        expect(batch.counts.keys() == weights.keys(), f"counts of {_names(weights)}", _names(batch.counts), "a typo")
        losses = model(batch)
        expect(losses.keys() == weights.keys(), f"losses of {_names(weights)}", _names(losses), "a term was left out")
        for term, loss in losses.items():
            scalar = isinstance(loss, Tensor) and loss.ndim == 0 and bool(torch.isfinite(loss))
            expect(scalar, f'"{term}" to be a finite scalar tensor', loss, "a reduction is missing, or a log of zero")
        tokens = sum(len(example.tokens) for example in examples)
        expect(batch.tokens > 0, "tokens without filler", f"{batch.tokens} of {tokens}", "tokens is not set")


@CHECKS.add
def attention_is_what_it_says(subject: ObjectiveSubject) -> None:
    """Its batches ask for the attention that the class declares, with `reach` where that is "mixed"."""
    objective = subject.objective()
    inputs = objective.collate(subject.examples, progress=0.5).inputs
    expect(inputs.attention == objective.attention, objective.attention, inputs.attention, "pack got another attention")
    wanted = objective.attention == "mixed"
    expect(
        (inputs.reach is not None) == wanted, f"reach: {wanted}", f"reach: {not wanted}", "reach was not handed to pack"
    )
    context = inputs.context is not None
    expect(context == objective.needs_context, f"needs_context = {context}", not context, "the class says otherwise")


@CHECKS.add
def contexts_lie_beside_what_reads_them(subject: ObjectiveSubject) -> None:
    """Each sequence and the context's sequence that it reads have rows of one number, and one number in them."""
    objective = subject.objective()
    if not objective.needs_context:
        raise DoesNotApply("it needs no context")
    for examples in subject.kinds:
        inputs = objective.collate(examples, progress=0.5).inputs
        assert inputs.context is not None
        ours, theirs = (
            [(int(first) // side.row_tokens, int(side.documents[first])) for first in side.first]
            for side in (inputs, inputs.context)
        )
        likely = "the context was packed by itself: hand it to pack as `contexts`"
        sizes = (inputs.rows, len(ours)), (inputs.context.rows, len(theirs))
        expect(sizes[0] == sizes[1], f"a context of {sizes[0]} rows and sequences", sizes[1], likely)
        for number, (own, other) in enumerate(zip(ours, theirs, strict=True)):
            expect(own == other, f"context {number} at (row, number in it) {own}", other, likely)


@CHECKS.add
def losses_add_up(subject: ObjectiveSubject) -> None:
    """loss(A + B) = loss(A) + loss(B), for every term and every count: no mean, no leak, no shared generator."""
    model = subject.model()
    for examples in subject.kinds:
        for progress in (0.5, None):
            whole = _sums(model, [examples], progress)
            for size in (1, 3):
                parts = [examples[at : at + size] for at in range(0, len(examples), size)]
                _compare(whole, _sums(model, parts, progress), f"in parts of {size}")


@CHECKS.add
def order_does_not_matter(subject: ObjectiveSubject) -> None:
    """What happens to an example does not depend on its place in the batch."""
    model = subject.model()
    for examples in subject.kinds:
        _compare(_sums(model, [examples], 0.5), _sums(model, [list(examples)[::-1]], 0.5), "in reverse order")


@CHECKS.add
def collate_is_pure(subject: ObjectiveSubject) -> None:
    """The same examples give the same batch, from any instance, after any other; the examples stay as they were."""
    objective, examples = subject.objective(), subject.examples
    before = [copy.deepcopy(example) for example in examples]
    first = {progress: objective.collate(examples, progress=progress) for progress in (0.0, 0.9, None)}
    likely = "a generator or counter kept on self; draw from example.rng() only"
    for progress, batch in first.items():
        for other in (objective, subject.objective()):
            changed = differences(batch, other.collate(examples, progress=progress))
            expect(not changed, f"the same batch twice at progress {progress}", f"other {', '.join(changed)}", likely)
    touched = [n for n, (old, e) in enumerate(zip(before, examples, strict=True)) if differences(old, e)]
    expect(not touched, "examples that stay as they were", f"{touched} changed", "tokens were written in place")


@CHECKS.add
def collate_draws_from_examples_only(subject: ObjectiveSubject) -> None:
    """Global generators are neither read nor written."""
    batches = []
    for seed in (1, 2):
        with seeded(seed) as used:
            batches.append(subject.objective().collate(subject.examples, progress=0.5))
        expect(not used, "no use of a global generator", f"use of {', '.join(used)}", "draw from example.rng() instead")
    changed = differences(*batches)
    expect(not changed, "a batch that no global seed changes", f"other {', '.join(changed)}", "a global generator")


@CHECKS.add
def counts_are_predictions(subject: ObjectiveSubject) -> None:
    """Where all weights are zero every prediction of a token costs the same, so sum / count is one number."""
    if subject.component.head_kind not in ("token", "next-token"):
        raise DoesNotApply(f"heads of kind {subject.component.head_kind} need not predict tokens")
    model = subject.model()
    costs: dict[str, set[float]] = {}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for examples in subject.kinds:
            for at in range(0, len(examples), 2):
                batch = model.objective.collate(examples[at : at + 2], progress=0.5)
                losses = model(batch)
                for term in filter(batch.counts.__getitem__, model.objective.weights):
                    costs.setdefault(term, set()).add(round(float(losses[term]) / batch.counts[term], 3))
    for term, found in costs.items():
        one = max(found) - min(found) <= 0.002
        came = f"{min(found)} to {max(found)}"
        expect(
            one, f'one cost for each prediction of "{term}" under zero weights', came, "counts has other than scored"
        )


@CHECKS.add
def odd_examples_are_survived(subject: ObjectiveSubject) -> None:
    """One token, special tokens only, an empty text: losses are finite, zero where nothing is counted, and train."""
    if subject.given is not None:
        raise DoesNotApply("examples were given, and odd ones would lack their targets")
    special = list(subject.vocabulary.special.values())
    wrapped = subject.tokenizer.wrap(np.array([], np.int64)).ids
    ordinary = int(np.setdiff1d(np.arange(subject.vocabulary.size), special)[0])
    odd = {
        "one token": [[ordinary]],
        "one special token": [[special[0]]],
        "special tokens only": [special],
        "an empty text": [wrapped.tolist() or [special[0]]],
        "sequences of one token": [[ordinary], [special[-1]], [ordinary]],
        "two tokens": [[ordinary, ordinary]],
    }
    for name, parts in odd.items():
        tokens = np.array([token for part in parts for token in part])
        for capacity in (0, 16):
            lengths = tuple(map(len, parts))
            _survives(subject.model(), Example(tokens=tokens, lengths=lengths, key=(1,), capacity=capacity), name)


def _survives(model: Model, example: Example, name: str) -> None:
    for progress in (0.0, None):
        batch = model.objective.collate([example], progress=progress)
        losses = model(batch)
        missing = sorted(model.objective.weights.keys() - losses.keys())
        expect(not missing, f"every term for {name}", f"none for {missing}", "it is left out where nothing is counted")
        for term in model.objective.weights:
            value = float(losses[term].detach())
            finite = math.isfinite(value)
            expect(finite, f'a finite "{term}" for {name}', value, "a mean or a log over nothing")
            if not batch.counts[term]:
                expect(abs(value) < 1e-6, f'"{term}" zero for {name}', value, "something uncounted is scored")
        try:
            torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise Failed(
                f"losses that can be trained on for {name}",
                f"RuntimeError: {error}",
                "a constant zero; sum an empty set",
            ) from None


@CHECKS.add
def batches_move_as_a_whole(subject: ObjectiveSubject) -> None:
    """After batch.to(device) no tensor is left behind."""
    batch = subject.objective().collate(subject.examples, progress=0.5).to("meta")
    left = [name for name, value in leaves(batch) if isinstance(value, Tensor) and value.device.type != "meta"]
    expect(
        not left, "every tensor to move with batch.to(device)", f"{left} stayed", "a tensor in a list, tuple or dict"
    )


@CHECKS.add
def workers_make_the_same_batches(subject: ObjectiveSubject) -> None:
    """A data worker, another process, makes the same batches."""
    objective = subject.objective()
    feed = Feed(
        source=_Listed(subject.examples),
        collate=lambda examples, progress: objective.collate(examples, progress=progress),
        micro_examples=4,
        processes=Processes(),
    )
    plan = Plan(position=0, count=8, progress=0.5)
    (_, there), here = next(iter(feed.run([plan], 1))), feed.batches(plan)
    for one, other in zip(here, there, strict=True):
        changed = differences(one, other)
        expect(not changed, "the same batch from a worker", f"other {', '.join(changed)}", "state that a process keeps")


@attrs.frozen
class _Listed:
    made: Sequence[Example]

    def __len__(self) -> int:
        return len(self.made)

    def examples(self, position: int, count: int) -> list[Example]:
        return list(self.made[position : position + count])


def _sums(model: Model, parts: Sequence[Sequence[Example]], progress: float | None) -> dict[str, tuple[float, int]]:
    """Each term's loss and count, summed over `parts`."""
    totals = dict.fromkeys(model.objective.weights, (0.0, 0))
    with torch.no_grad():
        for part in parts:
            batch = model.objective.collate(part, progress=progress)
            for term, loss in model(batch).items():
                if term in totals:
                    so_far, counted = totals[term]
                    totals[term] = so_far + float(loss), counted + batch.counts.get(term, 0)
    return totals


def _compare(whole: dict[str, tuple[float, int]], parts: dict[str, tuple[float, int]], how: str) -> None:
    for term, (loss, count) in whole.items():
        other, counted = parts[term]
        expect(count == counted, f'{count} counted for "{term}"', f"{counted} {how}", "a count that is no plain sum")
        near = abs(loss - other) <= 1e-5 * max(1.0, abs(loss))
        likely = "a mean instead of a sum, a leak between sequences, or a generator shared by examples"
        expect(near, f'"{term}" of all examples at once, {loss:.6f}', f"{other:.6f} {how}", likely)


def _names(terms: Mapping[str, object]) -> str:
    return ", ".join(sorted(terms)) or "nothing"
