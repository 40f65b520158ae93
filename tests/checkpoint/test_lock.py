"""One process at a time writes into a run's folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lmkit.checkpoint import RunLock
from lmkit.errors import RunError

HOLDER = """
import sys, time
from pathlib import Path
from lmkit.checkpoint import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(run: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def refusal(run: Path) -> str:
    with pytest.raises(RunError) as caught, RunLock(run):
        pass
    return str(caught.value)


def test_a_second_process_is_refused_and_told_who_holds_the_run(run: Path) -> None:
    with holder(run) as process:
        assert refusal(run) == f"{run} is in use by process {process.pid}: wait for it, or stop it"
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        with RunLock(run):
            pass


def test_a_killed_process_holds_nothing(run: Path) -> None:
    with holder(run) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (run / ".lock").read_text() == f"{process.pid}\n"
        with RunLock(run):
            assert (run / ".lock").read_text() == f"{os.getpid()}\n"


def test_a_second_lock_in_one_process_is_refused(run: Path) -> None:
    with RunLock(run):
        assert refusal(run) == f"{run} is in use by process {os.getpid()}: wait for it, or stop it"
    with RunLock(run):
        pass


def test_nothing_stays_of_a_longer_name_in_the_lock_file(run: Path) -> None:
    (run / ".lock").write_text("4194303000\n")
    with RunLock(run):
        assert refusal(run) == f"{run} is in use by process {os.getpid()}: wait for it, or stop it"


def test_an_error_under_the_lock_lets_it_go(run: Path) -> None:
    with pytest.raises(KeyError), RunLock(run):
        raise KeyError
    with RunLock(run):
        pass


def test_a_forked_child_does_not_keep_the_lock_beyond_the_holder(run: Path) -> None:
    """A data worker that outlives a killed run may not lock it: flock alone would be shared with it."""
    code = f"""
import os, sys, time
from pathlib import Path
from lmkit.checkpoint import RunLock
with RunLock(Path({str(run)!r})):
    child = os.fork()
    if not child:
        print(os.getpid(), flush=True)
        time.sleep(60)
    os.waitpid(child, 0)
"""
    done = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert done.stdout is not None
    child = int(done.stdout.readline())
    done.stdout.close()
    assert "in use" in refusal(run)
    done.kill()
    done.wait()
    try:
        os.kill(child, 0)
        with RunLock(run):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_child_that_leaves_the_lock_does_not_let_it_go_for_its_parent(run: Path) -> None:
    with RunLock(run):
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        with holder_refused(run) as said:
            assert f"{run} is in use by process {os.getpid()}: wait for it, or stop it" in said.stderr.read()


def holder_refused(run: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def test_a_run_that_is_absent_or_has_a_link_for_a_lock_is_refused(run: Path, tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") == f"{tmp_path}/none: cannot be locked for writing: No such file or directory"
    (tmp_path / "precious").write_text("text")
    (run / ".lock").symlink_to(tmp_path / "precious")
    assert refusal(run) == f"{run}: cannot be locked for writing: Too many levels of symbolic links"
    assert (tmp_path / "precious").read_text() == "text"
