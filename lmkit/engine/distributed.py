"""The processes that share a run; one process is the plain case of many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import attrs
import torch
import torch.distributed as dist

Number = TypeVar("Number", int, float)


@attrs.frozen(kw_only=True)
class Processes:
    """This process among all."""

    rank: int = 0
    world: int = 1

    @classmethod
    def current(cls) -> Processes:
        """What torch.distributed says, where its group has been made; else one process."""
        if dist.is_available() and dist.is_initialized():
            return cls(rank=dist.get_rank(), world=dist.get_world_size())
        return cls()

    def sum(self, values: Mapping[str, Number]) -> dict[str, Number]:
        """Each value summed over all processes, in double precision."""
        if self.world == 1:
            return dict(values)
        tensor = torch.tensor(list(values.values()), dtype=torch.float64)
        dist.all_reduce(tensor)
        return {name: type(value)(total) for (name, value), total in zip(values.items(), tensor.tolist(), strict=True)}
