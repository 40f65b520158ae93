"""Parallel: one model on several processes, by torch's own means.

DDP (Li et al. 2020) gives each process a copy and adds up gradients; FSDP2 (Zhao et al. 2023) gives each a share of
every parameter, gradient and optimizer state, and puts a layer together when it is needed.  Both divide gradients by
the number of processes, while a loss is divided by the predictions of all: the step multiplies by that number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

if TYPE_CHECKING:  # torch's module of FSDP takes a second to import, for which one process has no use
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

from lmkit.engine.device import Choices
from lmkit.engine.distributed import Processes
from lmkit.engine.settings import Training


class Parallel:
    """Has a model shared between `processes` as `settings` says; alone it is left as it is."""

    def __init__(
        self, model: nn.Module, layers: Sequence[nn.Module], settings: Training, choices: Choices, processes: Processes
    ) -> None:
        self.model = model
        self.losses: nn.Module = model
        """What is called to train: the model, or what wraps it."""
        self._sharded: list[FSDPModule] = []
        if processes.world == 1:
            return
        if settings.parallel == "ddp":
            devices = [torch.cuda.current_device()] if choices.device == "cuda" else None
            self.losses = DistributedDataParallel(
                model, device_ids=devices, broadcast_buffers=False, gradient_as_bucket_view=True
            )
        elif settings.parallel == "fsdp":
            from torch.distributed.device_mesh import init_device_mesh
            from torch.distributed.fsdp import fully_shard

            mesh = init_device_mesh(choices.device, (processes.world,))
            for module in (*layers, model):
                fully_shard(module, mesh=mesh)
                self._sharded.append(cast("FSDPModule", module))

    def syncing(self, wanted: bool) -> AbstractContextManager[Any]:
        """While entered, a backward pass adds up gradients over processes, or not: of a step the last one does."""
        if self._sharded:
            cast("FSDPModule", self.model).set_requires_gradient_sync(wanted)
        elif isinstance(self.losses, DistributedDataParallel) and not wanted:
            return cast(AbstractContextManager[Any], self.losses.no_sync())
        return nullcontext()

    def hooked(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method of the model, as it has to be called: with the model's shares put together before."""
        if self._sharded and getattr(method, "__self__", None) is self.model:
            from torch.distributed.fsdp import register_fsdp_forward_method

            register_fsdp_forward_method(self.model, method.__name__)
            return cast(Callable[..., Any], getattr(self.model, method.__name__))
        return method

    @contextmanager
    def whole(self) -> Iterator[None]:
        """While entered, the model's parts may be called by themselves; every process has all of it."""
        for module in self._sharded:
            module.set_reshard_after_forward(False)
            module.unshard()
        try:
            yield
        finally:
            for module in self._sharded:
                module.reshard()
                module.set_reshard_after_forward(module is not self.model)


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor of which each process has a share; every process has to ask."""
    return cast("DTensor", tensor).full_tensor() if _is_shared(tensor) else tensor


def share(tensor: Tensor, like: Tensor) -> Tensor:
    """This process's share of a tensor that every process has, as it has one of `like`."""
    if not _is_shared(like):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    there = cast("DTensor", like)
    return distribute_tensor(tensor.to(there.device), there.device_mesh, there.placements, src_data_rank=None)


def _is_shared(tensor: Tensor) -> bool:
    """Whether it is a DTensor, whose module need not be imported to know."""
    return hasattr(tensor, "full_tensor")


@torch.no_grad()
def load_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a model, shared or not, its weights; raises RuntimeError where names or shapes differ."""
    if not any(map(_is_shared, model.parameters())):
        model.load_state_dict(tensors, strict=True)
        return
    there = model.state_dict()
    if there.keys() != tensors.keys():
        raise RuntimeError(f"names differ: {', '.join(sorted(there.keys() ^ tensors.keys()))}")
    for name, tensor in there.items():
        if tensor.shape != tensors[name].shape:
            raise RuntimeError(f"{name} has shape {list(tensors[name].shape)}, wanted {list(tensor.shape)}")
        tensor.copy_(share(tensors[name], tensor))
