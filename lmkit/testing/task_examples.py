"""Checks of how a task trains: the examples of its rows, its objective, and that both together learn."""

from __future__ import annotations

import numpy as np
import torch

from lmkit.model import why_not_task
from lmkit.testing.check import Checks, DoesNotApply, expect
from lmkit.testing.common import check_config, check_missing_tokens
from lmkit.testing.comparison import differences
from lmkit.testing.generators import seeded
from lmkit.testing.subjects import TaskSubject

CHECKS: Checks[TaskSubject] = Checks()


@CHECKS.add
def config_is_closed(subject: TaskSubject) -> None:
    """Its Config is a frozen attrs class with a sentence under each field."""
    check_config(subject.component.Config, subject.config)


@CHECKS.add
def missing_tokens_are_told(subject: TaskSubject) -> None:
    """A tokenizer without the special tokens that it needs is refused with a FitError."""
    check_missing_tokens(lambda tokenizer: subject.component(subject.config, tokenizer))


@CHECKS.add
def examples_are_whole(subject: TaskSubject) -> None:
    """Each row gives examples, the same each time, whose lengths sum to their tokens and whose ids are known."""
    task, size = subject.task(), subject.tokenizer.vocabulary.size
    for number, row in enumerate(subject.rows):
        with seeded(1) as used:
            examples, again = list(task.examples(row)), list(task.examples(row))
        expect(not used, "examples without a draw", f"use of {', '.join(used)}", "drawing belongs to the objective")
        expect(bool(examples), f"an example or more of row {number}", "none", "rows= does not suit the task")
        same = len(examples) == len(again) and not any(map(differences, examples, again))
        expect(same, f"the same examples of row {number} twice", "others", "state that the task keeps")
        for example in examples:
            tokens = len(example.tokens)
            whole = tokens > 0 and sum(example.lengths) == tokens and min(example.lengths) > 0
            expect(whole, f"lengths that sum to {tokens}", example.lengths, "special tokens that are not counted")
            inside = bool(((example.tokens >= 0) & (example.tokens < size)).all())
            expect(inside, f"ids below {size}", int(np.max(example.tokens)), "labels among the tokens")
            fits = example.segments is None or example.segments.shape == example.tokens.shape
            expect(fits, f"segments [{tokens}]", example.segments, "segments of the unwrapped text")


@CHECKS.add
def labels_are_words(subject: TaskSubject) -> None:
    """`labels` gives the strings that a row names."""
    task = subject.task()
    for row in subject.rows:
        labels = task.labels(row)
        strings = not isinstance(labels, str) and all(isinstance(label, str) for label in labels)
        expect(strings, "a sequence of strings", repr(labels), "one string instead of a list of it")


@CHECKS.add
def it_reads_the_head_that_it_trains(subject: TaskSubject) -> None:
    """`reads` is not empty, and has the kind of head that its own objective builds."""
    expect(bool(subject.component.reads), "head kinds in `reads`", "none", "no run could ever use it")
    reason = why_not_task(subject.component, subject.objective().head_kind)
    expect(reason is None, "a head that it reads", str(reason), "reads lacks its own objective's head_kind")


@CHECKS.add
def four_rows_are_learned(subject: TaskSubject) -> None:
    """Four rows are learned by heart, so that the loss falls to a fifth, and are then answered right."""
    _, losses = subject.trained
    first, last = losses[0], losses[-1]
    likely = "targets that do not belong to the tokens"
    expect(last <= 0.2 * first, f"a loss of at most a fifth of {first:.3f}", f"{last:.3f}", likely)
    if subject.right is not None:
        rows = subject.rows[:4]
        wrong = [a for a, row in zip(subject.answers(rows), rows, strict=True) if not subject.right(a, row)]
        expect(not wrong, "right answers to what was learned", wrong, "a head that is read another way than trained")


@CHECKS.add
def objective_adds_up(subject: TaskSubject) -> None:
    """Its objective's loss of all examples is the sum of their losses one by one."""
    model = subject.model()
    with torch.no_grad():
        batch = model.objective.collate(subject.examples, progress=None)
        whole = model(batch)
        singles = [model.objective.collate([example], progress=None) for example in subject.examples]
        for term, loss in whole.items():
            parts = sum(float(model(single)[term]) for single in singles)
            near = abs(float(loss) - parts) <= 1e-5 * max(1.0, abs(parts))
            expect(near, f'"{term}" {parts:.6f}, the sum of single losses', f"{float(loss):.6f}", "a mean for a sum")
            count = sum(single.counts[term] for single in singles)
            expect(batch.counts[term] == count, f'{count} counted for "{term}"', batch.counts[term], "a wrong count")


@CHECKS.add
def tallies_become_metrics(subject: TaskSubject) -> None:
    """Tallies are sums of the same names, and their metrics stay the same when every row comes twice."""
    task = subject.task()
    tallies = [dict(task.tally(a, row)) for a, row in zip(subject.answers(subject.rows), subject.rows, strict=True)]
    if not any(tallies):
        raise DoesNotApply("its rows have no gold answers")
    total = {name: sum(float(t.get(name, 0.0)) for t in tallies) for tally in tallies for name in tally}
    metrics = task.score(total)
    expect(bool(metrics), "a metric", "none", "score does not read what tally sums")
    twice = task.score({name: 2 * value for name, value in total.items()})
    for name, value in metrics.items():
        same = abs(value - twice[name]) <= 1e-9 * max(1.0, abs(value))
        expect(same, f"{name} = {value} of all rows twice", twice[name], "a sum that nothing divides")


@CHECKS.add
def text_makes_a_row(subject: TaskSubject) -> None:
    """Where a run has a verb for it, a plain text makes a row, and the verb is a name that Python can call."""
    verb = subject.component.verb
    if verb is None:
        raise DoesNotApply("it has no verb")
    expect(verb.isidentifier(), "a verb such as fill", verb, "a dash or a space in it")
    row = subject.task().row("some text")
    expect("some text" in row.values(), "a row that has the text", row, "row puts it nowhere")
