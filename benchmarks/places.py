"""Where the benchmarks' text lies and what they make of it once, and whether this machine can compile."""

import os
import shutil
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("LMKIT_DATA", ROOT / "../shared/data")).resolve()
CACHE = Path(os.environ.get("LMKIT_CACHE", "~/.cache/lmkit")).expanduser() / "benchmarks"
TRAIN = DATA / "books/train"


def can_compile() -> bool:
    """Whether torch.compile finds a C++ compiler and Python's headers."""
    return shutil.which("g++") is not None and (Path(sysconfig.get_path("include")) / "Python.h").is_file()
