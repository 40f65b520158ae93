"""The console: exact lines where nobody watches, a moving line on a terminal, and observers that break."""

import io
import pty
from contextlib import suppress

import attrs
import pytest

from lmkit.engine.events import Alarm, Evaluated, Event, Finished, Resumed, Saved, Stepped
from lmkit.report.console import Console, guarded
from lmkit.report.sentences import duration
from tests.report.events import started

STARTED = started(
    steps=1220,
    parameters=5_300_000,
    precision="bf16",
    threads=2,
    compiled=True,
    micro_batch_tokens=8192,
    peak_flops=1e12,
)


def stepped(step: int, *, seconds: float = 0.0) -> Stepped:
    return Stepped(
        step=step,
        tokens=8192 * step,
        seconds=seconds or 0.5 * step,
        progress=(step - 1) / 1220,
        loss=5.4321,
        terms={"it": 5.4321},
        grad_norm=1.0,
        learning_rate=0.1,
        tokens_per_second=18_400.0,
        model_flops_utilization=0.412,
    )


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def told(*events: Event, quiet: bool = False) -> list[str]:
    stream = io.StringIO()
    console = Console(quiet=quiet, stream=stream, clock=Clock())
    for event in events:
        console(event)
    return stream.getvalue().splitlines()


def test_the_start_says_what_trains_on_what() -> None:
    assert told(STARTED) == [
        "5,300,000 parameters to train on cpu, bf16, 2 threads, compiled",
        "compiling the model: 20 to 60 seconds, once",
    ]
    assert told(attrs.evolve(STARTED, compiled=False, threads=1)) == [
        "5,300,000 parameters to train on cpu, bf16, 1 thread, not compiled"
    ]


def test_a_step_says_loss_speed_and_the_time_that_is_left() -> None:
    lines = told(STARTED, stepped(1), stepped(2))
    assert lines[2] == "step 1/1,220  loss 5.432  18,400 tokens/s  MFU 41 %"
    assert lines[3] == "step 2/1,220  loss 5.432  18,400 tokens/s  MFU 41 %  eta 10 min"


def test_a_budget_without_steps_shows_its_share_and_an_unknown_peak_nothing() -> None:
    step = attrs.evolve(stepped(123), model_flops_utilization=None)
    assert told(attrs.evolve(STARTED, steps=None), step)[2] == "step 123 (10%)  loss 5.432  18,400 tokens/s"


def test_steps_are_told_at_doubling_numbers_or_every_ten_seconds() -> None:
    stream, clock = io.StringIO(), Clock()
    console = Console(stream=stream, clock=clock)
    console(attrs.evolve(STARTED, step=100))
    for step in range(101, 135):
        clock.now += 10.0 if step in (121, 122) else 0.0
        console(stepped(step))
    shown = [int(line.split("/")[0].split()[1]) for line in stream.getvalue().splitlines()[2:]]
    assert shown == [101, 102, 104, 108, 116, 121, 122, 132]


def test_what_happens_between_steps_is_told_in_a_line_each() -> None:
    assert told(
        Evaluated(step=250, name="books", loss=3.21459, terms={"it": 3.21459, "it.accuracy": 0.41}, seconds=2.13),
        Evaluated(step=250, name="books", loss=3.0, terms={"it": 3.0}, seconds=2.13),
        Saved(step=1250, path="runs/first/checkpoints/step-00001250", seconds=0.31),
        Resumed(step=250, path="runs/a", promise="same data", differences=["threads were 2, are 4"]),
        Alarm(step=7, message="step 7: loss is nan"),
        Finished(step=1220, reason="done", tokens=9_994_240, seconds=610),
    ) == [
        'step 250  validation "books": loss 3.215  it 3.215  it.accuracy 0.41  (2.1 s)',
        'step 250  validation "books": loss 3  (2.1 s)',
        "step 1,250  saved runs/first/checkpoints/step-00001250 (0.3 s)",
        "goes on from runs/a (step 250): same data",
        "  threads were 2, are 4",
        "alarm: step 7: loss is nan",
        "done: 1,220 steps, 9,994,240 tokens, 10 min of training",
    ]


def test_quiet_tells_alarms_only() -> None:
    events = (STARTED, stepped(1), Alarm(step=1, message="loss is nan"))
    assert told(*events, quiet=True) == ["alarm: loss is nan"]


def read_all(terminal: int) -> str:
    """What was written to a terminal whose other end is closed: Linux ends it with an error, others with nothing."""
    seen = b""
    with open(terminal, "rb", buffering=0) as file, suppress(OSError):
        while piece := file.read(4096):
            seen += piece
    return seen.decode()


def test_a_terminal_gets_one_moving_line_with_the_rest_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    reader, writer = pty.openpty()
    with open(writer, "w", encoding="utf-8") as stream:
        console = Console(stream=stream, clock=iter(range(100)).__next__)
        for event in (STARTED, stepped(1), stepped(2), Saved(step=2, path="runs/[first]", seconds=0.1), stepped(3)):
            console(event)
        console(Finished(step=3, reason="done", tokens=1, seconds=1.5))
    seen = read_all(reader)
    assert seen.count("\x1b[2K") >= 3  # the moving line is erased and drawn again
    assert "step 3/1,220  loss 5.432" in seen
    above = [line for line in seen.replace("\x1b[2K", "\n").splitlines() if line.startswith("step 2  saved")]
    assert above == ["step 2  saved runs/[first] (0.1 s)"]
    assert seen.endswith("\x1b[?25hdone: 3 steps, 1 tokens, 2 s of training\r\n")  # with the cursor shown again


def test_an_observer_that_raises_is_told_about_once(capsys: pytest.CaptureFixture[str]) -> None:
    seen = []

    def observer(event: Event) -> None:
        seen.append(event.step)
        raise OSError("no space left")

    observe = guarded(observer)
    observe(stepped(1))
    observe(stepped(2))
    assert seen == [1, 2]
    error = capsys.readouterr().err
    assert error.endswith("observer failed at step 1, training goes on: OSError: no space left\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (360, "6 min"), (7500, "2 h 05 min"), (3599, "1 h 00 min")],
)
def test_durations_are_said_as_a_person_would(seconds: float, text: str) -> None:
    assert duration(seconds) == text
