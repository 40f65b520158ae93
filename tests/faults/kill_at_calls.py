"""Kills a save with SIGKILL at its n-th call to the system, for every n, before the call and behind it; prints JSON.

python -m tests.faults.kill_at_calls RUN
"""

from __future__ import annotations

import builtins
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch

from lmkit.checkpoint import newest
from tests.checkpoint.conftest import assert_is_whole, save_step

CALLS = [
    *((os, name) for name in ("open", "mkdir", "rename", "fsync", "chmod", "rmdir", "unlink", "scandir", "listdir")),
    *((builtins, "open"), (io, "open"), (safetensors.torch, "save_file")),
]


def killed_at(run: Path, step: int, at: int, *, behind: bool) -> bool:
    """Save in a child that dies at call `at`; returns whether it died, and did not end before."""
    child = os.fork()
    if not child:
        calls = 0

        def around(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal calls
                calls += 1
                mine = calls == at
                if mine and not behind:
                    os.kill(os.getpid(), signal.SIGKILL)
                result = real(*args, **kwargs)
                if mine:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            return call

        for module, name in CALLS:
            setattr(module, name, around(getattr(module, name)))
        try:
            save_step(run, step)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or status == 0, "a save failed behind a kill"
    return os.WIFSIGNALED(status)


def main(run: Path) -> dict[str, int]:
    run.mkdir()
    save_step(run, 1)
    save_step(run, 2)
    result = {"points": 0, "bad": 0, "old": 0, "new": 0}
    step = 2
    for behind in (False, True):
        at = 1
        while killed_at(run, step + 1, at, behind=behind):
            said: list[str] = []
            found = newest(run, warn=said.append)
            assert found is not None
            assert_is_whole(found, found.step)
            result["points"] += 1
            if said or found.step not in (step, step + 1):
                sys.stderr.write(f"call {at}, behind={behind}, of step {step + 1}: found {found.step}, {said}\n")
            result["bad"] += bool(said) or found.step not in (step, step + 1)
            result["new" if found.step > step else "old"] += 1
            step, at = found.step, at + 1
    return result


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
