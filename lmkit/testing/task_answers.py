"""Checks of how a task answers: one answer a row, in order, whatever the batch and whatever the row."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lmkit.interfaces.task import Row
from lmkit.testing.check import Checks, Failed, expect
from lmkit.testing.comparison import near
from lmkit.testing.generators import seeded
from lmkit.testing.reference import ShortEncoder
from lmkit.testing.samples import HALF_A_SURROGATE, NAUGHTY_TEXTS
from lmkit.testing.subjects import TaskSubject

CHECKS: Checks[TaskSubject] = Checks()
AHEAD = 20_000
"""Rows that may be read before the first answer."""
LONG_TEXT = "many words " * 5_000


@CHECKS.add
def every_row_is_answered(subject: TaskSubject) -> None:
    """There is one answer a row, and none of them is an error."""
    answers = subject.answers(subject.rows)
    expect(len(answers) == len(subject.rows), f"{len(subject.rows)} answers", len(answers), "rows or answers left out")
    errors = [a["error"] for a in answers if _is_error(a)]
    expect(not errors, "answers without errors", errors[:1], "rows= does not suit the task")


@CHECKS.add
def answers_keep_their_order(subject: TaskSubject) -> None:
    """A row's answer stands in the row's place, whatever the lengths of the others."""
    rows = list(subject.rows)
    answers = subject.answers(rows)
    for place in (0, len(rows) - 1):
        longer = _rewritten(rows[place], "{old} and {old} and {old}")
        after = subject.answers([*rows[:place], longer, *rows[place + 1 :]])
        kept = [n for n in range(len(rows)) if n != place and not near(answers[n], after[n])]
        likely = "answers in the order of sorted lengths, or a batch in which one row changes another"
        expect(not kept, f"the other answers to stay when row {place} grows", f"others at {kept}", likely)


@CHECKS.add
def answers_do_not_depend_on_batch_tokens(subject: TaskSubject) -> None:
    """Rows one by one, in small batches or all at once get the same answers."""
    answers = subject.answers(subject.rows)
    for batch_tokens in (1, 100, 4096):
        others = subject.answers(subject.rows, batch_tokens=batch_tokens)
        for number, (one, other) in enumerate(zip(answers, others, strict=True)):
            likely = "filler that is read, or an answer drawn from a generator of the batch"
            expect(near(one, other), f"the answer {one} of row {number} at batch_tokens {batch_tokens}", other, likely)


@CHECKS.add
def bad_rows_are_told_in_their_place(subject: TaskSubject) -> None:
    """A row that cannot be read gives {"error": sentence} there, and changes no other answer."""
    rows = list(subject.rows)
    answers = subject.answers(rows)
    columns = [name for name, value in rows[0].items() if isinstance(value, str)]
    bad: list[Row] = [{}, {"some other column": "text"}]
    for place, row in enumerate(bad, 1):
        found = _survived(subject, [*rows[:place], row, *rows[place + 1 :]], "a row without its columns")
        told = _is_error(found[place]) and len(found[place]["error"]) > 10
        expect(
            told,
            f'{{"error": sentence}} for the row {row}',
            found[place],
            "a missing column is taken for an empty text",
        )
        moved = [n for n in range(len(rows)) if n != place and not near(answers[n], found[n])]
        expect(not moved, "the other answers to stay", f"others at {moved}", "answers after an error move up")
    for name in columns:
        for value in (None, 7, ["a", "b"], HALF_A_SURROGATE):
            _survived(subject, [{**rows[0], name: value}], f"{value!a} in column {name}")


@CHECKS.add
def odd_texts_are_survived(subject: TaskSubject) -> None:
    """Empty, naughty and very long texts get an answer or an error, never an exception."""
    for text in (*NAUGHTY_TEXTS, LONG_TEXT):
        rows = [_rewritten(subject.rows[0], form, text) for form in ("{new}", "{old} {new}")]
        _survived(subject, rows, ascii(text[:40]))


@CHECKS.add
def an_encoder_is_given_no_more_than_it_reads(subject: TaskSubject) -> None:
    """A text of more tokens than the encoder's `longest` gets an answer or an error, whatever the task's own limit."""
    model = subject.model(ShortEncoder)
    rows = [_rewritten(row, " ".join(["{old}"] * 20)) for row in subject.rows]
    try:
        answers = list(subject.task().predict(model.encoder, model.head, rows, batch_tokens=256))
    except Exception as error:
        wanted = f"an answer or an error where texts are longer than the {model.encoder.longest} tokens of an encoder"
        likely = "cut, or read in windows of, min(your own limit, encoder.longest)"
        raise Failed(wanted, f"{type(error).__name__}: {error}", likely) from error
    expect(len(answers) == len(rows), f"{len(rows)} answers", len(answers), "rows left out")


@CHECKS.add
def rows_are_read_as_needed(subject: TaskSubject) -> None:
    """Answers come before all rows are read, so that memory does not grow with them."""
    model, _ = subject.trained
    read = 0

    def endless() -> Iterator[Row]:
        nonlocal read
        for row in itertools.cycle(subject.rows):
            read += 1
            if read > AHEAD:
                raise Failed(f"an answer before row {AHEAD}", "none", "predict makes a list of all rows")
            yield row

    answers = subject.task().predict(model.encoder, model.head, endless(), batch_tokens=64)
    found = list(itertools.islice(answers, len(subject.rows)))
    expect(len(found) == len(subject.rows), f"{len(subject.rows)} answers", len(found), "answers left out")


@CHECKS.add
def no_rows_have_no_answers(subject: TaskSubject) -> None:
    """Nothing in, nothing out."""
    expect(subject.answers([]) == [], "no answers", subject.answers([]), "an empty batch")


@CHECKS.add
def answers_are_plain_data(subject: TaskSubject) -> None:
    """Answers can be written as JSON, without NaN."""
    for answer in subject.answers(subject.rows):
        try:
            json.dumps(answer, allow_nan=False)
        except (TypeError, ValueError) as error:
            likely = "a tensor or numpy number: use .item() or .tolist()"
            raise Failed("an answer that JSON can hold", f"{answer} ({error})", likely) from None


@CHECKS.add
def answering_leaves_no_trace(subject: TaskSubject) -> None:
    """Global generators are not used, weights stay, and a module in training returns to it."""
    model, _ = subject.trained
    model.train()
    try:
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with seeded(1) as used:
            subject.answers(subject.rows[:2])
        expect(not used, "no use of a global generator", f"use of {', '.join(used)}", "draw from a seeded generator")
        changed = [name for name, tensor in model.state_dict().items() if not before[name].equal(tensor)]
        expect(not changed, "the same weights after an answer", f"other {changed}", "a training step, or a buffer")
        expect(model.encoder.training, "an encoder in training to stay so", "one in evaluation", "a .eval() for good")
    finally:
        model.eval()


def _is_error(answer: Any) -> bool:
    return isinstance(answer, Mapping) and answer.keys() == {"error"}


def _survived(subject: TaskSubject, rows: Sequence[Row], what: str) -> list[Any]:
    try:
        answers = subject.answers(rows)
    except Exception as error:
        came = f"{type(error).__name__}: {error}"
        raise Failed(f"an answer or an error for {what}", came, "only a DataError becomes an error in place") from error
    expect(len(answers) == len(rows), f"{len(rows)} answers with {what}", len(answers), "rows left out")
    return answers


def _rewritten(row: Row, form: str, new: str = "") -> Row:
    """The row with each of its texts in another form."""
    return {name: form.format(old=v, new=new) if isinstance(v, str) else v for name, v in row.items()}
