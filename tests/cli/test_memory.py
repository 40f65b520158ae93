"""A command keeps the memory that a step frees; a library call leaves the process as it was."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
{first}
def step():
    for _ in range(4):
        np.ones(1 << 22)  # 32 MB, freed at once
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(first: str) -> int:
    code = FAULTS.format(first=first)
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is not glibc's")
def test_freed_memory_is_not_given_back():
    kept = _faults("from lmkit.cli.memory import keep_freed_memory; assert keep_freed_memory()")
    given_back = _faults("import lmkit")
    assert kept < 0.2 * given_back
