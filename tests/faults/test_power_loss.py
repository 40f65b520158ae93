"""The power fails behind any call of a save: whatever of it was on the disk, the old checkpoint or the new one is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkit.checkpoint import newest
from tests.checkpoint.conftest import assert_is_whole, save_step
from tests.faults.recorded_disk import RecordedDisk


def test_whatever_was_on_the_disk_a_whole_checkpoint_is(
    tmp_path: Path, measured: Callable[[str, object], None]
) -> None:
    run, found_there = tmp_path / "run", tmp_path / "after"
    run.mkdir()
    save_step(run, 1)
    save_step(run, 2)
    disk = RecordedDisk(run)
    states = 0
    seen: set[int] = set()

    def fails(*, committed: bool = False) -> None:
        """Every state in which the disk may be found now."""
        nonlocal states
        for write in disk.states():
            shutil.rmtree(found_there, ignore_errors=True)
            with pytest.MonkeyPatch.context() as plain:
                plain.undo()
                write(found_there)
            warnings: list[str] = []
            found = newest(found_there, warn=warnings.append)
            assert found is not None
            assert not warnings, "a checkpoint that is not whole could be seen"
            assert found.step == 3 if committed else found.step in (2, 3)
            assert_is_whole(found, found.step)
            seen.add(found.step)
            states += 1

    looks = 0

    def behind_a_call() -> None:
        nonlocal looks
        looks += 1
        outer.undo()  # what looks at the disk is not part of what is recorded
        try:
            fails()
        finally:
            disk.recording(outer, behind_a_call)

    with pytest.MonkeyPatch.context() as outer:
        disk.recording(outer, behind_a_call)
        save_step(run, 3)
    fails(committed=True)
    assert seen == {2, 3}
    assert looks == disk.calls > 20
    assert states > 500
    measured("cases", states)
    measured("calls", disk.calls)
