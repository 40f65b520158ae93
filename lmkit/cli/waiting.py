"""Threads that wait for each other give their core away soon, where OpenMP is GNU's.

By default they spin for long. Where another process wants the cores, a spinning thread keeps the very
core that the one it waits for needs: on two shared cores training was seen to fall from 69,000 to 250 tokens/s.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

_SPINS = "20000"
"""On a quiet machine 2 % slower than the default; benchmarks/log.md has the figures."""


def wait_politely(environ: MutableMapping[str, str] = os.environ) -> None:
    """Say so in the environment, before torch is loaded, unless the user has said something else."""
    if "OMP_WAIT_POLICY" not in environ:
        environ.setdefault("GOMP_SPINCOUNT", _SPINS)
