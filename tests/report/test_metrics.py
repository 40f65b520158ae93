"""The metrics file: what a line holds, and what is read back after kills and resumes."""

import gc
import json
import math
from pathlib import Path

from lmkit.engine.events import Alarm, Evaluated, Event, Finished, Resumed, Saved, Stepped
from lmkit.report.metrics import NAMES, MetricsFile, read_metrics
from tests.report.events import started

STEP_KEYS = {
    *("event", "step", "tokens", "seconds", "loss", "terms", "grad_norm", "learning_rate"),
    *("tokens_per_second", "model_flops_utilization"),
}


def stepped(step: int, loss: float = 5.0, *, applied: bool = True) -> Stepped:
    return Stepped(
        step=step,
        tokens=64 * step,
        seconds=0.5 * step,
        progress=step / 9,
        loss=loss,
        terms={"it": loss},
        grad_norm=1.0,
        learning_rate=0.1,
        tokens_per_second=128.0,
        model_flops_utilization=None,
        applied=applied,
    )


def evaluated(step: int, loss: float = 4.0) -> Evaluated:
    return Evaluated(step=step, name="books", loss=loss, terms={"it": loss, "it.accuracy": 0.5}, seconds=0.1)


def write(path: Path, *events: Event) -> None:
    observe = MetricsFile(path)
    for event in events:
        observe(event)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_step_is_one_line_with_the_promised_keys(tmp_path: Path) -> None:
    write(tmp_path / "m", stepped(3))
    (line,) = lines(tmp_path / "m")
    assert set(line) == STEP_KEYS
    assert line["event"] == "step"
    assert line["terms"] == {"it": 5.0}
    assert line["model_flops_utilization"] is None


def test_every_event_has_a_name_and_all_its_values(tmp_path: Path) -> None:
    events = [
        Resumed(step=2, path="checkpoints/a", promise="exact", differences=("threads were 2",)),
        Saved(step=2, path="checkpoints/a", seconds=0.1),
        evaluated(2),
        Alarm(step=2, message="é", examples=((1, 0, 5),)),
        Finished(step=2, reason="done", tokens=128, seconds=1.0),
    ]
    write(tmp_path / "m", started(), *events)
    assert [line["event"] for line in lines(tmp_path / "m")] == [NAMES[type(event)] for event in [started(), *events]]
    resumed = lines(tmp_path / "m")[1]
    assert resumed == {
        "event": "resumed",
        "step": 2,
        "path": "checkpoints/a",
        "promise": "exact",
        "differences": ["threads were 2"],
    }
    gc.collect()  # attrs makes each class anew, and the first one lives until then
    assert set(NAMES) == set(Event.__subclasses__())


def test_numbers_that_are_not_finite_are_never_hidden_and_stay_standard_json(tmp_path: Path) -> None:
    write(tmp_path / "m", stepped(1, math.nan, applied=False), stepped(2, -math.inf))

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    first, second = (json.loads(line, parse_constant=refuse) for line in (tmp_path / "m").read_text().splitlines())
    assert (first["loss"], first["terms"], first["applied"]) == ("nan", {"it": "nan"}, False)
    assert (second["loss"], "applied" in second) == ("-inf", False)
    again = read_metrics(tmp_path / "m")
    assert math.isnan(again[0]["loss"])
    assert again[1]["terms"] == {"it": -math.inf}


def test_a_line_is_readable_as_soon_as_it_is_written(tmp_path: Path) -> None:
    observe = MetricsFile(tmp_path / "m")
    for step in (1, 2):
        observe(stepped(step))
        assert len(lines(tmp_path / "m")) == step


def test_what_follows_a_torn_line_does_not_join_it(tmp_path: Path) -> None:
    path = tmp_path / "m"
    write(path, stepped(1), stepped(2))
    path.write_bytes(path.read_bytes()[:-30] + b"\xc3")  # in the middle of a letter
    write(path, stepped(2, 4.5))
    assert [(line["step"], line["loss"]) for line in read_metrics(path)] == [(1, 5.0), (2, 4.5)]


def test_the_last_life_of_a_step_counts(tmp_path: Path) -> None:
    path = tmp_path / "m"
    first = [started(), stepped(1), stepped(2), Saved(step=2, path="c", seconds=0.1), stepped(3), evaluated(3)]
    second = [Resumed(step=2, path="c", promise="exact"), started(step=2), stepped(3, 3.0)]
    write(path, *first, stepped(4))
    write(path, *second)
    counted = [(r["event"], r["step"], r.get("loss")) for r in read_metrics(path)]
    assert counted == [
        ("started", 0, None),
        ("step", 1, 5.0),
        ("step", 2, 5.0),
        ("saved", 2, None),
        ("resumed", 2, None),
        ("started", 2, None),
        ("step", 3, 3.0),
    ]


def test_an_alarm_stays_though_its_step_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "m"
    write(path, started(), Alarm(step=1, message="loss is nan"), stepped(1, math.nan), started(), stepped(1))
    assert [r["event"] for r in read_metrics(path)] == ["started", "alarm", "started", "step"]
    assert read_metrics(path)[-1]["loss"] == 5.0


def test_an_absent_file_has_no_lines(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "m") == []
