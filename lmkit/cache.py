"""Cache: the folder where lmkit keeps what it can make again."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

from lmkit.errors import ConfigError

_OTHERS_WRITE = 0o022


def cache_folder() -> Path:
    """Where tokens and compiled steps are kept between runs: LMKIT_CACHE, or ~/.cache/lmkit."""
    asked = os.environ.get("LMKIT_CACHE") or "~/.cache/lmkit"
    try:
        return Path(asked).expanduser()
    except RuntimeError:  # no such user, or no home
        raise ConfigError("LMKIT_CACHE", [f"expected a folder, got {asked!r}, which has no home: set it"]) from None


def keep_compiled(environ: MutableMapping[str, str] = os.environ) -> None:
    """Have torch.compile keep what it builds in the cache, unless the user has named another place.

    By default it lies below the machine's folder for temporary files, in one named after the user: gone after a reboot,
    and whoever made that folder before could have put code there that this process would run.  A cache that is not
    this user's own, or that others may write, is left alone for the same reason.
    """
    if "TORCHINDUCTOR_CACHE_DIR" in environ:
        return
    try:
        folder = cache_folder() / "compiled"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        mine = found.st_uid == os.getuid() and not found.st_mode & _OTHERS_WRITE and os.access(folder, os.W_OK)
    except (OSError, ConfigError):  # a cache that is for reading only, or no home
        return
    if mine:
        environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
