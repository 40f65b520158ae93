"""Trackers that people have: each is imported when it watches a run, and needs its own extra of this distribution.

None of them sends anything unless its own settings say so: TensorBoard, MLflow and trackio write files, and Weights &
Biases stays offline where WANDB_MODE does not say otherwise.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, ClassVar

from lmkit.errors import PluginError
from lmkit_reporters.numbers import is_last, numbers_of


def _needed(module: str, extra: str) -> Any:
    """A tracker's module; raises PluginError with the line that installs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise PluginError(f"{error.name} is not installed: pip install 'lmkit-reporters[{extra}]'") from None


class TensorBoard:
    """Event files in the run's folder: `tensorboard --logdir runs`."""

    only_where_named: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self._writer = _needed("torch.utils.tensorboard", "tensorboard").SummaryWriter(str(folder / "tensorboard"))

    def __call__(self, event: Any) -> None:
        for name, number in numbers_of(event).items():
            self._writer.add_scalar(name, number, event.step)
        if is_last(event):
            self._writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases, offline in the run's folder: `wandb sync` sends it."""

    only_where_named: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        wandb = _needed("wandb", "wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "lmkit"),
            name=folder.name,
            dir=str(folder),
            mode=os.environ.get("WANDB_MODE", "offline"),
        )

    def __call__(self, event: Any) -> None:
        if numbers := numbers_of(event):
            self._run.log(dict(numbers), step=event.step)
        if is_last(event):
            self._run.finish()


class MlFlow:
    """A run of MLflow: in the run's folder, or where MLFLOW_TRACKING_URI says."""

    only_where_named: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        client = _needed("mlflow.tracking", "mlflow").MlflowClient
        # A database, since MLflow 3.17 refuses a folder of files.
        where = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.absolute()}/mlflow.db"
        self._client = client(tracking_uri=where)
        known = self._client.get_experiment_by_name("lmkit")
        experiment = known.experiment_id if known is not None else self._client.create_experiment("lmkit")
        self._id = self._client.create_run(experiment, run_name=folder.name).info.run_id

    def __call__(self, event: Any) -> None:
        for name, number in numbers_of(event).items():
            self._client.log_metric(self._id, name, number, step=event.step)
        if is_last(event):
            self._client.set_terminated(self._id)


class Trackio:
    """A run of trackio, on this machine: `trackio show`."""

    only_where_named: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self._run = _needed("trackio", "trackio").init(
            project=os.environ.get("TRACKIO_PROJECT", "lmkit"), name=folder.name
        )

    def __call__(self, event: Any) -> None:
        if numbers := numbers_of(event):
            self._run.log(dict(numbers), step=event.step)
        if is_last(event):
            self._run.finish()
