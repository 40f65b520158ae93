"""LoRA: low-rank updates beside frozen matrices, trained instead of them (Hu et al. 2022), by the library `peft`.

A checkpoint with them is read without `peft`: an update is added to its matrix when a model is loaded. Importing this
loads no torch: a task's file may have a [lora] table.
"""

from lmkit.lora.settings import Lora

__all__ = ["Lora"]
