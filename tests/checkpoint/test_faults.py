"""The n-th call to the system fails, for n = 1, 2, 3, ... until a save passes: the method of SQLite's tests."""

import builtins
import errno
import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError

from lmkit.checkpoint import newest
from lmkit.errors import CheckpointError

Write = Callable[..., Path]

CALLS = [
    (os, "open"),
    (os, "mkdir"),
    (os, "rename"),
    (os, "fsync"),
    (os, "chmod"),
    (os, "rmdir"),
    (os, "unlink"),
    (os, "scandir"),
    (os, "listdir"),
    (builtins, "open"),
    (io, "open"),
    (safetensors.torch, "save_file"),
]
FAULTS = {
    "full": (errno.ENOSPC, "No space left on device. Free some space on that disk."),
    "broken": (errno.EIO, "Input/output error. See whether that disk is well."),
}


class Faults:
    """Raises at the n-th call, and at those after it where the fault persists; counts the calls."""

    def __init__(self, at: int, number: int, *, persists: bool) -> None:
        self.at, self.number, self.persists = at, number, persists
        self.calls = 0

    def raised(self) -> bool:
        return self.calls >= self.at

    def around(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self.at or (self.persists and self.calls > self.at):
                reason = os.strerror(self.number)
                if name == "save_file":
                    raise SafetensorError(f"Error while serializing: I/O error: {reason} (os error {self.number})")
                raise OSError(self.number, reason)
            return real(*args, **kwargs)

        return call

    def save(self, write: Write, step: int) -> str | None:
        """Save under faults; what was raised."""
        with pytest.MonkeyPatch.context() as patch:
            for module, name in CALLS:
                patch.setattr(module, name, self.around(name, getattr(module, name)))
            try:
                write(step)
            except CheckpointError as error:
                return str(error)
        return None


def temporaries(run: Path) -> list[Path]:
    return list((run / "checkpoints").glob(".tmp-*"))


@pytest.mark.parametrize("persists", [False, True], ids=["once", "persistently"])
@pytest.mark.parametrize("fault", FAULTS)
def test_whichever_call_fails_the_older_or_the_new_checkpoint_is_whole(
    run: Path, write: Write, assert_is_whole: Callable[..., None], fault: str, persists: bool
) -> None:
    number, advice = FAULTS[fault]
    step, old = 2, [1, 2]
    write(1)
    write(2)
    at = failed = committed = 0
    while True:
        at += 1
        faults = Faults(at, number, persists=persists)
        said = faults.save(write, step + 1)
        if not faults.raised():
            break
        found = newest(run, warn=pytest.fail)
        assert found is not None
        assert said is not None, f"call {at} failed unnoticed"
        final = run / "checkpoints" / f"step-{step + 1:08d}"
        failed += 1
        if found.step == step:
            assert said == f"{final} cannot be saved: {advice} Older checkpoints are as they were."
            assert persists or not temporaries(run)
            for kept in old:
                assert (run / "checkpoints" / f"step-{kept:08d}").is_dir()
        else:
            committed += 1
            step, old = found.step, [step, found.step]
        assert_is_whole(found, step)
    assert said is None
    found = newest(run, warn=pytest.fail)
    assert found is not None
    assert_is_whole(found, step + 1)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        f"step-{step:08d}",
        f"step-{step + 1:08d}",
    ]
    assert failed > 30, "few calls were reached: the faults were put where nothing happens"
    assert 3 <= committed < failed / 2


def test_what_cannot_be_deleted_is_told_and_deleted_the_next_time(
    run: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(1, keep=1)

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        with pytest.raises(CheckpointError) as caught:
            write(2, keep=1)
    assert str(caught.value) == (
        f"{run}/checkpoints/step-00000002 is saved, but an older one cannot be deleted: "
        "Permission denied. Give yourself write permission there."
    )
    assert len(temporaries(run)) == 1
    write(3, keep=1)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000003"]


def test_an_interrupted_save_leaves_nothing(run: Path, write: Write) -> None:
    def interrupt(folder: Path) -> None:
        raise KeyboardInterrupt

    write(1)
    with pytest.raises(KeyboardInterrupt):
        write(2, folders={"tokenizer": interrupt})
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000001"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True)
    if not done or done.returncode:
        pytest.skip("a small tmpfs cannot be mounted here: that takes root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_at_any_point_keeps_the_older_checkpoint(
    small_disk: Path, save_step: Write, assert_is_whole: Callable[..., None]
) -> None:
    save_step(small_disk, 1)
    filler, weights = small_disk / "filler", {"w": torch.zeros(40_000)}
    outcomes = []
    for free in range(4, 400, 12):  # KiB: none of a checkpoint of some 190 fits, or more and more, or all of it
        held = os.statvfs(small_disk)
        filler.write_bytes(b"\0" * (held.f_bavail * held.f_frsize - free * 1024))
        try:
            shutil.rmtree(save_step(small_disk, 2, tensors={"model": weights}, keep=2))
            outcomes.append("saved")
        except CheckpointError as error:
            outcomes.append(str(error))
        assert [path.name for path in (small_disk / "checkpoints").iterdir()] == ["step-00000001"]
        found = newest(small_disk, warn=pytest.fail)
        assert found is not None
        assert_is_whole(found, 1)
        filler.unlink()
    full = (
        f"{small_disk}/checkpoints/step-00000002 cannot be saved: No space left on device. "
        "Free some space on that disk. Older checkpoints are as they were."
    )
    fitted = outcomes.count("saved")
    assert outcomes == [full] * (len(outcomes) - fitted) + ["saved"] * fitted
    assert min(fitted, len(outcomes) - fitted) >= 10


def test_a_disk_mounted_for_reading_is_told(small_disk: Path, save_step: Write) -> None:
    save_step(small_disk, 1)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(CheckpointError) as caught:
        save_step(small_disk, 2)
    assert str(caught.value) == (
        f"{small_disk}/checkpoints/step-00000002 cannot be saved: Read-only file system. "
        "Mount that disk for writing. Older checkpoints are as they were."
    )
