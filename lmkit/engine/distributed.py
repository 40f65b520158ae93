"""The processes that share a run; one process is the plain case of many."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import TypeVar

import attrs
import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from lmkit.errors import FitError, LmkitError, ProcessError

Number = TypeVar("Number", int, float)

_groups = count()
"""Of this process, one after the other: each has names of its own in the store where the processes meet."""


@attrs.frozen(kw_only=True)
class Processes:
    """This process among all."""

    rank: int = 0
    world: int = 1
    group: dist.ProcessGroup | None = attrs.field(default=None, repr=False, eq=False)
    """Where there is one, their connections are its own, not those of the training."""

    @classmethod
    def current(cls) -> Processes:
        """What torch.distributed says, where its group has been made; else one process."""
        if dist.is_available() and dist.is_initialized():
            return cls(rank=dist.get_rank(), world=dist.get_world_size())
        return cls()

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes and speaks for all."""
        return self.rank == 0

    def sum(self, values: Mapping[str, Number]) -> dict[str, Number]:
        """Each value summed over all processes, in double precision; raises ProcessError where one is gone."""
        if self.world == 1:
            return dict(values)
        tensor = torch.tensor(list(values.values()), dtype=torch.float64)
        with self.meeting("sums"):
            dist.all_reduce(tensor, group=self.group)
        return {name: type(value)(total) for (name, value), total in zip(values.items(), tensor.tolist(), strict=True)}

    def any(self, flag: bool) -> bool:
        """Whether one of them says so."""
        return self.sum({"flag": int(flag)})["flag"] > 0

    def first(self, value: float) -> float:
        """What the first one says."""
        return self.sum({"value": value if self.leads else 0.0})["value"]

    def wait(self) -> None:
        """Until all are here."""
        self.sum({"here": 1})

    def gather(self, message: bytes) -> list[bytes]:
        """What each of them says, in their order; all have to ask."""
        if self.world == 1:
            return [message]
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.world)]
        with self.meeting("messages"):
            dist.all_gather(lengths, torch.tensor([len(message)]), group=self.group)
            longest = max(1, *(int(length) for length in lengths))
            said = [torch.zeros(longest, dtype=torch.uint8) for _ in range(self.world)]
            padded = torch.tensor(list(message.ljust(longest)), dtype=torch.uint8)
            dist.all_gather(said, padded, group=self.group)
        return [bytes(words[: int(length)].tolist()) for words, length in zip(said, lengths, strict=True)]

    def apart(self, minutes: float) -> Processes:
        """The same, with connections of their own for a thread of its own; `minutes` is how long one waits there."""
        if self.world == 1:
            return self
        with self.meeting("connections"):
            return attrs.evolve(self, group=dist.new_group(backend="gloo", timeout=timedelta(minutes=minutes)))

    def lead(self, work: Callable[[], None]) -> None:
        """Have the first one do it while the others wait; where it fails, all do."""
        failure: LmkitError | None = None
        if self.leads:
            try:
                work()
            except LmkitError as error:
                failure = error
        failed = self.any(failure is not None)
        if failure is not None:
            raise failure
        if failed:
            raise ProcessError(f"process {self.rank} of {self.world} stops, as process 0 has failed")

    @contextmanager
    def meeting(self, what: str) -> Iterator[None]:
        """While entered, what torch says of a process that is gone or late becomes a ProcessError."""
        try:
            yield
        except RuntimeError as error:
            if self.world == 1 or not _is_of_a_collective(error):
                raise
            first = str(error).strip().partition("\n")[0]
            lost = ProcessError(
                f"process {self.rank} of {self.world} lost the others ({what}): one of them is gone, or came later "
                f"than train.collective_minutes allow. What it said itself, says why. torch: {first:.300}"
            )
            lost.alone = True  # each says which it is: the first may be the one that is gone
            raise lost from error


def _is_of_a_collective(error: RuntimeError) -> bool:
    words = ("gloo", "nccl", "timed out", "timeout", "connection", "peer", "socket", "tcpstore", "process group")
    return isinstance(error, dist.DistError) or any(word in str(error).lower() for word in words)


@contextmanager
def joined(parallel: str, minutes: float) -> Iterator[Processes]:
    """While entered, this process is one of those that torchrun has started; alone, where none has.

    `parallel` and `minutes` are train.parallel and train.collective_minutes.  Raises FitError where there are several
    and nothing is said of how they share the work; ProcessError where they do not find each other.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    known = Processes.current()
    if max(world, known.world) > 1 and parallel == "none":
        raise FitError(
            f'{max(world, known.world)} processes were started, but train.parallel is "none": --set train.parallel=ddp '
            f"gives each a copy of the model, --set train.parallel=fsdp a share of it"
        )
    if world == 1 or dist.is_initialized():
        yield known
        return
    rank, limit = int(os.environ["RANK"]), timedelta(minutes=minutes)
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    place = Processes(rank=rank, world=world)
    with place.meeting("the start"):
        store, _, _ = next(rendezvous("env://", timeout=limit))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
            store=torch._C._distributed_c10d.PrefixStore(_prefix(world), store),
            rank=rank,
            world_size=world,
            timeout=limit,
        )
    try:
        yield place
    finally:
        dist.destroy_process_group()


def _prefix(world: int) -> str:
    """Names of this attempt's own: torchrun keeps one store over all restarts, with the addresses of the dead in it.

    Of several hosts each counts its own restarts: there torchrun has to be told to make a new store each time, by
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1.
    """
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if local_world() == world else ""
    return f"lmkit-{attempt}-{next(_groups)}"


def local_world() -> int:
    """Processes of this run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
