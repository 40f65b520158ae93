"""Checkpoints: a folder in a run that is whole or not there, without pickle.

    checkpoints/step-00001000/  manifest.json  state.json  model.safetensors  optimizer.safetensors  tokenizer/

Of several processes that have shares of the tensors each writes its own: model.0-of-2.safetensors (`shards`).
Importing it loads no torch: a run.toml has a [checkpoint] table.
"""

from lmkit.checkpoint.load import Checkpoint, last_step, newest, of_step, open_checkpoint, saved
from lmkit.checkpoint.lock import RunLock
from lmkit.checkpoint.manifest import Manifest, step_name
from lmkit.checkpoint.provenance import check_components
from lmkit.checkpoint.save import save
from lmkit.checkpoint.settings import Checkpointing

__all__ = [
    "Checkpoint",
    "Checkpointing",
    "Manifest",
    "RunLock",
    "check_components",
    "last_step",
    "newest",
    "of_step",
    "open_checkpoint",
    "save",
    "saved",
    "step_name",
]
