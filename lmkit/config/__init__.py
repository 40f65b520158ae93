"""Config: tables of TOML <-> closed attrs classes, every problem told at once with its path and value.

A config is never half read: what a file says beyond or against a class is an error, so a typing mistake cannot become
a default. The price is that an older lmkit refuses files that name a newer field.
"""

from lmkit.config.reading import Problems, collect, override, read, structure
from lmkit.config.strict import locate
from lmkit.config.writing import commented, describe, dumps, unstructure

__all__ = [
    "Problems",
    "collect",
    "commented",
    "describe",
    "dumps",
    "locate",
    "override",
    "read",
    "structure",
    "unstructure",
]
