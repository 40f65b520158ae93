"""export: a run's model, written for other software, or nothing at all."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmkit.checkpoint import of_step
from lmkit.checkpoint.load import CHECKPOINTS
from lmkit.config import read
from lmkit.errors import LmkitError, PluginError, RunError
from lmkit.interfaces import Format, History, Trained
from lmkit.registry.component import told
from lmkit.run.folder import CONFIG, METRICS
from lmkit.run.load import load
from lmkit.run.run import Run

_LEAST_PARTS = 2  # of a path that a card may show: where a person's files lie is nobody's business


def export(
    run: Path | str | Run, *, to: str, out: Path | str, local_files: Sequence[Path | str] = ()
) -> dict[str, Any]:
    """Write a run's model into the new folder `out` in the format `to`, proved to compute the same; what was found.

    Raises RunError where `out` holds something already, FitError where the format has nothing that computes the same;
    then nothing is left.
    """
    folder = Path(out).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder}: already there; choose another folder, or remove it")
    if folder.parent.name == CHECKPOINTS:
        raise RunError(f"{folder}: among a run's checkpoints, which it tells by their names; choose another folder")
    found = run if isinstance(run, Run) else load(run, local_files=local_files)
    component = found.registry.find("format", to)
    written: Format = component.load()()
    module = found.module
    model = Trained(
        tokenizer=found.tokenizer,
        encoder=module.encoder,
        objective=module.objective,
        head=module.head,
        labels=found.parts.labels,
    )
    temporary = folder.with_name(f".{folder.name}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        temporary.mkdir(parents=True)
        said = written.write(model, history_of(found), temporary)
        if folder.exists():
            folder.rmdir()  # which is empty
        os.rename(temporary, folder)
    except LmkitError:
        raise
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror or error}") from error
    except Exception as error:
        raise PluginError(f"{component} failed, and nothing was written: {told(error)}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return {"out": str(out), "format": to, **said}


def history_of(run: Run) -> History:
    """How a run's model came to be."""
    checkpoint = of_step(run.folder, run.step)
    return History(
        name=run.folder.resolve().name,
        recipe=discreet(read(run.folder / CONFIG)),
        components=checkpoint.components,
        events=list(_events(run.folder / METRICS, run.step)),
        environment=checkpoint.state["environment"],
    )


def _events(path: Path, last: int) -> Iterator[Mapping[str, Any]]:
    """The lines of a metrics.jsonl up to a step; one that a kill tore is left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("step"), int) and event["step"] <= last:
            yield event


def discreet(value: Any) -> Any:
    """Tables with absolute paths cut to their last parts."""
    if isinstance(value, Mapping):
        return {name: discreet(item) for name, item in value.items()}
    if isinstance(value, list):
        return [discreet(item) for item in value]
    if isinstance(value, str) and os.path.isabs(value):
        return "/".join(Path(value).parts[1:][-_LEAST_PARTS:])
    return value
