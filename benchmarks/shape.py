"""The one shape that both sides of a training row have, and the text they read."""

import os
import shutil
import sysconfig
from pathlib import Path

LAYERS = 4
WIDTH = 256
HEADS = 4
VOCABULARY = 8192
BLOCK_TOKENS = 128
ROWS = 64
STEP_TOKENS = BLOCK_TOKENS * ROWS

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("LMKIT_DATA", ROOT / "../shared/data")).resolve()
CACHE = Path(os.environ.get("LMKIT_CACHE", "~/.cache/lmkit")).expanduser() / "benchmarks"
TRAIN = DATA / "books/train"


def can_compile() -> bool:
    """Whether torch.compile finds a C++ compiler and Python's headers."""
    return shutil.which("g++") is not None and (Path(sysconfig.get_path("include")) / "Python.h").is_file()
