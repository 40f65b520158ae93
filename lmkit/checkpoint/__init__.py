"""Checkpoints: a folder that is whole or not there."""

from lmkit.checkpoint.settings import Checkpointing

__all__ = ["Checkpointing"]
