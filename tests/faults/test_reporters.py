"""Reporters that raise, hang, or do not keep up: training goes on, and metrics.jsonl has every event."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import lmkit
from lmkit.engine.events import Event, Finished
from lmkit.report.apart import Apart
from tests.run.recipes import metrics, recipe

WAITING = """
import time
from lmkit import hookimpl

class Waits:
    def __init__(self, folder):
        pass
    def __call__(self, event):
        time.sleep(10_000)

@hookimpl
def lmkit_reporters():
    return {"waits": f"{__name__}:Waits"}
"""


def test_a_reporter_that_hangs_holds_up_nothing(
    tmp_path: Path, book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Apart, "patience", 0.2)
    (tmp_path / "waiting.py").write_text(WAITING)
    table = recipe("clm", book, steps=6) | {"plugins": [str(tmp_path / "waiting.py")]}
    run = lmkit.pretrain(table, run=tmp_path / "run", quiet=True)
    assert [step["step"] for step in metrics(run.folder, "step")] == [1, 2, 3, 4, 5, 6]
    assert "warning: reporter waits does not keep up, or has stopped: the last events" in capsys.readouterr().err


def test_events_come_in_order_and_all_before_the_run_ends() -> None:
    told: list[Event] = []

    def slow(event: Event) -> None:
        time.sleep(0.005)
        told.append(event)

    apart = Apart(lambda: slow, "slow")
    events = [*(Event(step=step) for step in range(20)), Finished(step=20, reason="done", tokens=1, seconds=1.0)]
    for event in events:
        apart(event)
    assert told == events
    assert not [thread for thread in threading.enumerate() if thread.name == "reporter slow"]


def test_what_has_no_room_is_dropped_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Apart, "patience", 0.1)
    monkeypatch.setattr(Apart, "room", 5)
    gate, told = threading.Event(), list[int]()

    def waits(event: Event) -> None:
        gate.wait(30)
        told.append(event.step)

    apart = Apart(lambda: waits, "late")
    for step in range(20):
        apart(Event(step=step))
    apart(Finished(step=20, reason="done", tokens=1, seconds=1.0))
    assert "reporter late does not keep up" in capsys.readouterr().err
    gate.set()
    while len(told) < 5:
        time.sleep(0.01)
    assert told[:5] == [0, 1, 2, 3, 4]


def test_a_reporter_lives_in_one_thread_and_its_errors_are_raised_where_it_was_asked_for() -> None:
    seen: list[str] = []

    def make() -> Callable[[Event], None]:
        seen.append(threading.current_thread().name)
        return lambda event: seen.append(threading.current_thread().name)

    Apart(make, "one")(Finished(step=1, reason="done", tokens=1, seconds=1.0))
    assert seen == ["reporter one"] * 2

    def fails() -> Callable[[Event], None]:
        raise OSError("no such service")

    with pytest.raises(OSError, match="no such service"):
        Apart(fails, "two")


def test_a_reporter_that_leaves_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def leaves(event: Event) -> None:
        sys.exit(1)

    apart = Apart(lambda: leaves, "gone")
    apart(Event(step=1))
    apart(Finished(step=2, reason="done", tokens=1, seconds=1.0))
    said = capsys.readouterr().err
    assert "warning: reporter gone has left: SystemExit: 1" in said
    assert "warning: reporter gone does not keep up, or has stopped: the last events" in said


@pytest.mark.parametrize(
    ("begin", "said"),
    [
        ("raise SystemExit(0)", "it left: SystemExit"),
        ("time.sleep(10_000)", "it did not begin within 0.2 seconds"),
        ("raise OSError('no such service')", "OSError: no such service"),
    ],
)
def test_a_reporter_that_does_not_begin_is_warned_about_and_the_run_is_made(
    tmp_path: Path, book: Path, monkeypatch: pytest.MonkeyPatch, begin: str, said: str
) -> None:
    monkeypatch.setattr(Apart, "patience", 0.2)
    (tmp_path / "beginning.py").write_text(WAITING.replace("        pass\n", f"        {begin}\n", 1))
    table = recipe("clm", book, steps=1) | {"plugins": [str(tmp_path / "beginning.py")]}
    with pytest.warns(UserWarning, match=f'reporter "waits".* does not watch this run: .*{said}'):
        assert lmkit.pretrain(table, run=tmp_path / "run", quiet=True).step == 1
