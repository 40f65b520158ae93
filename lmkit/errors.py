"""Every error that lmkit raises on purpose.

    LmkitError
    ├── ConfigError (ValueError)          a value in a run.toml, a Config or on the command line
    ├── DataError (ValueError)            a file, line or row that cannot be read as wanted
    ├── FitError (ValueError)             components that do not fit together
    ├── PluginError
    │   └── UnknownComponentError (LookupError)
    ├── CheckpointError
    │   └── IntegrityError                a file that is damaged, missing or not ours
    ├── RunError                          a run's folder that is taken, absent or in use
    ├── ProcessError                      one of several processes is gone or late
    ├── TrainingAlarm                     a loss that is not a number, or a spike
    └── Interrupted                       a signal asked to stop; everything is saved

`exit_status` is what a command returns: 1 the work failed, 2 the input was wrong, 3 stopped by a signal.
"""

from __future__ import annotations

from collections.abc import Sequence


class LmkitError(Exception):
    """The base of every error that lmkit raises on purpose."""

    exit_status = 1
    alone = False
    """Whether one of several processes has met it, and the others do not know."""


class ConfigError(LmkitError, ValueError):
    """One or more values that a config cannot take; `problems` holds a sentence for each."""

    exit_status = 2

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n  ".join([f"{source}: {count}", *problems]))


class DataError(LmkitError, ValueError):
    """Text or rows that cannot be read as wanted; the message starts with file and line."""

    exit_status = 2


class FitError(LmkitError, ValueError):
    """Components that do not fit together, told before any data is read."""

    exit_status = 2


class PluginError(LmkitError):
    """A plugin that cannot be loaded or breaks the interface it claims."""

    exit_status = 2


class UnknownComponentError(PluginError, LookupError):
    """A component's name that nothing installed answers to."""


class CheckpointError(LmkitError):
    """A checkpoint that cannot be written, found or loaded."""


class IntegrityError(CheckpointError):
    """A file whose size, hash or format is not what its manifest says."""


class RunError(LmkitError):
    """A run's folder that is taken, absent, in use, or of another kind."""

    exit_status = 2


class ProcessError(LmkitError):
    """One of the processes that share a run is gone, or came too late."""


class TrainingAlarm(LmkitError):
    """Training stopped itself: a loss that is not a number, or a spike."""


class Interrupted(LmkitError):
    """A signal asked the run to stop; everything is saved."""

    exit_status = 3
