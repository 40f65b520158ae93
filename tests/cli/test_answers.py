"""Answers and failures inside one process: what a process cannot be made to show from outside."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lmkit.cli.answer import Answer, as_json, shortened
from lmkit.cli.command import command
from lmkit.cli.table import table
from lmkit.errors import ConfigError, Interrupted, TrainingAlarm

Captured = pytest.CaptureFixture[str]


def call(function: Callable[..., Answer], *, as_json: bool = False) -> int:
    return command(function)(as_json=as_json, quiet=False, debug=False)


def raising(error: BaseException) -> Callable[[], Answer]:
    def act() -> Answer:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ConfigError("run.toml", ["seed: wrong"]), 2, "run.toml: 1 problem\n  seed: wrong"),
        (TrainingAlarm("step 3: loss is nan"), 1, "step 3: loss is nan"),
        (Interrupted("stopped by SIGTERM after step 3; everything is saved"), 3, "stopped by SIGTERM after step 3"),
        (KeyboardInterrupt(), 130, "stopped"),
        (MemoryError(), 1, "out of memory. Lower train.micro_batch_tokens: it never changes the result"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (OSError(28, "No space left on device", "runs/a"), 1, "runs/a: No space left on device"),
    ],
)
def test_each_kind_of_failure_has_its_status_and_one_message(
    capsys: Captured, error: BaseException, status: int, message: str
) -> None:
    assert call(raising(error)) == status
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"error: {message}")
    assert call(raising(error), as_json=True) == status
    assert json.loads(capsys.readouterr().out)["error"].startswith(message)


def test_json_is_all_that_stands_on_stdout_whatever_a_command_prints(capsys: Captured) -> None:
    def chatty() -> Answer:
        print("a library talks")
        return Answer.of({"loss": math.nan, "array": np.arange(2), "path": Path("runs/a"), "none": None}, "words")

    assert call(chatty, as_json=True) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == {"loss": "nan", "array": [0, 1], "path": "runs/a", "none": None}
    assert told.err == "a library talks\n"


def test_a_command_that_found_something_wrong_answers_and_fails(capsys: Captured) -> None:
    assert call(lambda: Answer.of({"failed": 1}, "1 failed", status=1)) == 1
    assert capsys.readouterr().out == "1 failed\n"


def test_lines_are_said_as_they_come_and_what_breaks_later_is_told_after_them(capsys: Captured) -> None:
    def lines() -> Iterator[str]:
        yield "first"
        assert capsys.readouterr().out == "first\n"
        raise ConfigError("rows.jsonl", ["line 2: no JSON"])

    assert call(lambda: Answer(lines(), dict)) == 2
    assert capsys.readouterr() == ("", "error: rows.jsonl: 1 problem\n  line 2: no JSON\n")


def test_a_warning_is_one_line(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    def warns() -> Answer:
        warnings.warn("a plugin is broken", stacklevel=1)
        return Answer.of({})

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert call(warns) == 0
    assert capsys.readouterr().err == "warning: a plugin is broken\n"


def test_quiet_reaches_a_command_that_has_use_for_it() -> None:
    seen = []

    def trains(*, quiet: bool = False) -> Answer:
        seen.append(quiet)
        return Answer.of({})

    command(trains)(as_json=False, quiet=True, debug=False)
    assert seen == [True]


def test_numbers_in_answers_stay_exact() -> None:
    assert as_json({"a": 0.1 + 0.2, "b": [1, True, "ü"], "c": {"d": -math.inf}}) == (
        '{"a": 0.30000000000000004, "b": [1, true, "ü"], "c": {"d": "-inf"}}'
    )


def test_a_table_aligns_names_and_indents_what_lies_within() -> None:
    values = {"tokens": 10_000_000, "loss": 3.14159, "gpu": None, "ok": True, "sets": {"a_b": "x"}, "files": ["u", "v"]}
    assert list(table(values)) == [
        "tokens  10,000,000",
        "loss    3.142",
        "gpu     unknown",
        "ok      yes",
        "sets",
        "  a b  x",
        "files   u",
        "        v",
    ]


def test_numbers_are_told_in_the_units_that_their_names_say() -> None:
    found = {
        "peak_memory_bytes": 1_234_567_890,
        "checkpoint_bytes": 999,
        "flops_per_token": 5.9e8,
        "flops": 2e21,
        "minutes": 200.2,
        "ddp": {"bytes of memory": 999_600, "bytes sent a step": 4e6, "minutes": 2.5},
        "bytes": 12_000,
        "accuracy": [0.24961, 0.75],
        "1 times: train.learning_rate=0.001": 5.0,
    }
    assert list(table(found)) == [
        *(
            f"{name:34}  {told}"
            for name, told in {
                "peak memory": "1.23 GB",
                "checkpoint": "999 B",
                "flops per token": "590 MFLOP",
                "flops": "2 ZFLOP",
                "time": "3 h 20 min",
            }.items()
        ),
        "ddp",
        "  memory       1 MB",
        "  sent a step  4 MB",
        "  time         2.5 min",
        f"{'bytes':34}  12,000",
        f"{'accuracy':34}  0.2496, 0.75",
        "1 times: train.learning_rate=0.001  5",
    ]


def test_a_shortened_answer_has_six_digits_a_number() -> None:
    answer = {"label": "y", "probability": 0.58058989, "all": [1.0, (2.34567891e-9, 3)], "none": None, "is": True}
    assert shortened(-1234.56780912) == -1234.567809
    assert shortened(answer) == {
        "label": "y",
        "probability": 0.58059,
        "all": [1.0, [2.34568e-09, 3]],
        "none": None,
        "is": True,
    }
    assert str(shortened(float("nan"))) == "nan"
