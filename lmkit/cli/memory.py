"""Memory that a step frees is kept for the next one, where the C library is glibc.

By default glibc gives big blocks back to the kernel after every step, and the kernel zeroes them again for the next: a
tenth to a half of a small model's step. The price is that a process keeps the memory of its largest step until it ends.
"""

from __future__ import annotations

import ctypes
import sys

# Numbers of mallopt's parameters, from malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Tell the allocator so, for the whole process; whether it could be told. lmkit's commands do, a library asks."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is None:
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 1 << 26))
    return all(mallopt(parameter, value) for parameter, value in settings)
