"""Parallel: one model on several processes, by torch's own means.

DDP (Li et al. 2020) gives each process a copy and adds up gradients; FSDP2 (Zhao et al. 2023) gives each a share of
every parameter, gradient and optimizer state, and puts a layer together when it is needed.  Both divide gradients by
the number of processes, while a loss is divided by the predictions of all: the step multiplies by that number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, cast

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
        self._copies = processes.world > 1 and settings.parallel == "ddp"
        self._wrapped: DistributedDataParallel | None = None
        self._layers: list[FSDPModule] = []
        self._root: FSDPModule | None = None
        self._device = choices.device
        if processes.world > 1 and settings.parallel == "fsdp":
            from torch.distributed.device_mesh import init_device_mesh
            from torch.distributed.fsdp import fully_shard

            mesh = init_device_mesh(choices.device, (processes.world,))
            for module in (*layers, model):
                fully_shard(module, mesh=mesh)
            self._layers = [cast("FSDPModule", layer) for layer in layers]
            self._root = cast("FSDPModule", model)

    @property
    def shares(self) -> bool:
        """Whether each process has some rows of every parameter."""
        return self._root is not None

    def losses(self, module: nn.Module, unused: Callable[[], bool]) -> nn.Module:
        """What is called to train: `module`, which is the model or was compiled of it, or what adds up its gradients.

        `unused` tells whether a parameter has no gradient in some process; it is asked by all of them, or by none.
        """
        if not self._copies:
            return module
        self._wrapped = DistributedDataParallel(
            module,
            device_ids=[torch.cuda.current_device()] if self._device == "cuda" else None,
            forward_sync_buffers=False,
            gradient_as_bucket_view=True,
            find_unused_parameters=unused(),
        )
        return self._wrapped

    def syncing(self, wanted: bool) -> AbstractContextManager[Any]:
        """While entered, a backward pass adds up gradients over processes, or not: of a step the last one does."""
        if self._root is not None:
            self._root.set_requires_gradient_sync(wanted)
        elif self._wrapped is not None and not wanted:
            return cast(AbstractContextManager[Any], self._wrapped.no_sync())
        return nullcontext()

    def hooked(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method of the model, as it has to be called: with the model's shares put together before."""
        if self._root is not None and getattr(method, "__self__", None) is self.model:
            from torch.distributed.fsdp import register_fsdp_forward_method

            register_fsdp_forward_method(self.model, method.__name__)
            return cast(Callable[..., Any], getattr(self.model, method.__name__))
        return method

    @contextmanager
    def measuring(self, *, parts: bool) -> Iterator[None]:
        """While entered, the model may be validated, whose weights may be others before and after; with `parts` its
        encoder and head may be called by themselves, and every process has all of them.
        """
        self._scatter()
        if parts and self._root is not None:
            for module in (*self._layers, self._root):
                module.set_reshard_after_forward(False, recurse=False)
                module.unshard()
        try:
            yield
        finally:
            self._scatter()
            for layer in self._layers:
                layer.set_reshard_after_forward(True, recurse=False)

    def _scatter(self) -> None:
        """Give up what was put together: its weights may have changed since."""
        if self._root is not None:
            for module in (*self._layers, self._root):
                module.reshard()


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor of which each process has a share; every process has to ask."""
    return cast("DTensor", tensor).full_tensor() if _is_shared(tensor) else tensor


def part(tensor: Tensor) -> Tensor:
    """What this process has of a tensor."""
    return cast("DTensor", tensor).to_local() if _is_shared(tensor) else tensor


def kept(tensors: Mapping[str, Tensor], processes: Processes) -> dict[str, Tensor]:
    """What this process writes of some tensors: its shares, and what all have is the first one's to write."""
    return {name: part(t.detach()) for name, t in tensors.items() if processes.leads or _is_shared(t)}


class Rows(Protocol):
    """A tensor, or one on disk of which some rows can be read."""

    @property
    def shape(self) -> Sequence[int]:
        """Of the whole."""

    def __getitem__(self, rows: Any, /) -> Tensor:
        """All of it by `[...]`, or the rows `[first:last]`."""


def share(tensor: Rows, like: Tensor) -> Tensor:
    """What this process has of a tensor when it has of `like` what it has: all of it, or its rows.

    Raises RuntimeError where they differ in shape or in kind.
    """
    if tuple(tensor.shape) != tuple(like.shape):
        raise RuntimeError(f"a tensor has shape {list(tensor.shape)}, wanted {list(like.shape)}")
    if not _is_shared(like):
        mine = tensor[...]
    else:
        mesh = cast("DTensor", like).device_mesh
        rows = -(-like.shape[0] // mesh.size())  # as fully_shard cuts them
        first = min(rows * mesh.get_local_rank(), like.shape[0])
        mine = tensor[first : first + part(like).shape[0]]
    if mine.dtype != like.dtype:
        raise RuntimeError(f"a tensor is of {mine.dtype}, wanted {like.dtype}")
    return mine


def _is_shared(tensor: Tensor) -> bool:
    """Whether it is a DTensor, whose module need not be imported to know."""
    return hasattr(tensor, "full_tensor")


@torch.no_grad()
def load_weights(model: nn.Module, tensors: Mapping[str, Rows]) -> None:
    """Give a model, shared or not, its weights; raises RuntimeError where names or shapes differ."""
    there = model.state_dict()
    if there.keys() != tensors.keys():
        raise RuntimeError(f"names differ: {', '.join(sorted(there.keys() ^ tensors.keys()))}")
    for name, tensor in there.items():
        try:
            part(tensor).copy_(share(tensors[name], tensor))
        except RuntimeError as error:
            raise RuntimeError(f"{name}: {error}") from None
