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
        ProcessError,
        RunError,
        TrainingAlarm,
        UnknownComponentError,
    )
    from lmkit.hookspecs import hookimpl
    from lmkit.interfaces import Encoder, Objective, Task, Tokenizer
    from lmkit.recipe import Finetuning, Pretraining
    from lmkit.registry import plugins
    from lmkit.report.profile import Profile
    from lmkit.run.check import check
    from lmkit.run.evaluate import evaluate
    from lmkit.run.export import export
    from lmkit.run.finetune import finetune
    from lmkit.run.imported import import_model
    from lmkit.run.inspect import inspect_data
    from lmkit.run.load import load
    from lmkit.run.predict import predict
    from lmkit.run.pretrain import pretrain
    from lmkit.run.report import compare, write_report
    from lmkit.run.resume import resume
    from lmkit.run.run import Run
    from lmkit.run.seeds import finetune_seeds

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
    "ProcessError",
    "Profile",
    "Run",
    "RunError",
    "Task",
    "Tokenizer",
    "TrainingAlarm",
    "UnknownComponentError",
    "__version__",
    "check",
    "compare",
    "evaluate",
    "export",
    "finetune",
    "finetune_seeds",
    "hookimpl",
    "import_model",
    "inspect_data",
    "load",
    "plugins",
    "predict",
    "pretrain",
    "resume",
    "write_report",
]

_HOMES = {
    "Batch": "lmkit.batch",
    "CheckpointError": "lmkit.errors",
    "ConfigError": "lmkit.errors",
    "DataError": "lmkit.errors",
    "Encoder": "lmkit.interfaces",
    "Example": "lmkit.batch",
    "Finetuning": "lmkit.recipe",
    "FitError": "lmkit.errors",
    "IntegrityError": "lmkit.errors",
    "Interrupted": "lmkit.errors",
    "LmkitError": "lmkit.errors",
    "Objective": "lmkit.interfaces",
    "Packed": "lmkit.batch",
    "PluginError": "lmkit.errors",
    "Pretraining": "lmkit.recipe",
    "ProcessError": "lmkit.errors",
    "Profile": "lmkit.run",
    "Run": "lmkit.run",
    "RunError": "lmkit.errors",
    "Task": "lmkit.interfaces",
    "Tokenizer": "lmkit.interfaces",
    "TrainingAlarm": "lmkit.errors",
    "UnknownComponentError": "lmkit.errors",
    "check": "lmkit.run",
    "compare": "lmkit.run",
    "evaluate": "lmkit.run",
    "export": "lmkit.run",
    "finetune": "lmkit.run",
    "finetune_seeds": "lmkit.run",
    "hookimpl": "lmkit.hookspecs",
    "import_model": "lmkit.run",
    "inspect_data": "lmkit.run",
    "load": "lmkit.run",
    "plugins": "lmkit.registry",
    "predict": "lmkit.run",
    "pretrain": "lmkit.run",
    "resume": "lmkit.run",
    "write_report": "lmkit.run",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = importlib.import_module("importlib.metadata").version("lmkit")
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'lmkit' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
