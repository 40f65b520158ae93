"""The moments at which the Trainer's steps end."""

import os
import time
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

from transformers import TrainerCallback


class Clock(TrainerCallback):  # type: ignore[misc]
    """Give it to a Trainer as a callback."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.ends.append(time.perf_counter())
