"""lmkit: pre-train language models on your own text and fine-tune them, any objective on any encoder.

Names are resolved when they are first used, so that `import lmkit` and the commands that train nothing load no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmkit.batch import Batch, Example, Packed
    from lmkit.errors import (
        CheckpointError,
        ConfigError,
        DataError,
        FitError,
        IntegrityError,
        Interrupted,
        LmkitError,
        PluginError,
        RunError,
        TrainingAlarm,
        UnknownComponentError,
    )
    from lmkit.hookspecs import hookimpl
    from lmkit.interfaces import Encoder, Objective, Task, Tokenizer
    from lmkit.recipe import Finetuning, Pretraining
    from lmkit.registry import plugins
    from lmkit.run import Run, evaluate, finetune, load, predict, pretrain, resume

    __version__: str

__all__ = [
    "Batch",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "Encoder",
    "Example",
    "Finetuning",
    "FitError",
    "IntegrityError",
    "Interrupted",
    "LmkitError",
    "Objective",
    "Packed",
    "PluginError",
    "Pretraining",
    "Run",
    "RunError",
    "Task",
    "Tokenizer",
    "TrainingAlarm",
    "UnknownComponentError",
    "__version__",
    "evaluate",
    "finetune",
    "hookimpl",
    "load",
    "plugins",
    "predict",
    "pretrain",
    "resume",
]

_HOMES = {
    "batch": ("Batch", "Example", "Packed"),
    "hookspecs": ("hookimpl",),
    "interfaces": ("Encoder", "Objective", "Task", "Tokenizer"),
    "recipe": ("Finetuning", "Pretraining"),
    "registry": ("plugins",),
    "run": ("Run", "evaluate", "finetune", "load", "predict", "pretrain", "resume"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = importlib.import_module("importlib.metadata").version("lmkit")
    elif name in __all__:
        value = getattr(importlib.import_module(f"lmkit.{_HOME.get(name, 'errors')}"), name)
    else:
        raise AttributeError(f"module 'lmkit' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
