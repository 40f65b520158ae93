"""Shares of tensors: written by several together, read whole or in any other shares; where one fails, all are told."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from lmkit.checkpoint import newest, open_checkpoint, save
from lmkit.checkpoint.shards import file_name, files_by_stem, open_shards
from lmkit.errors import CheckpointError, IntegrityError


@attrs.define
class Thread:
    """One of several threads that save together, as processes do."""

    rank: int
    world: int
    barrier: Barrier
    said: dict[int, bytes]

    def gather(self, message: bytes) -> list[bytes]:
        self.said[self.rank] = message
        self.barrier.wait(30)
        heard = [self.said[rank] for rank in range(self.world)]
        self.barrier.wait(30)
        return heard


def together(world: int, work: Callable[[Thread], Any]) -> list[Any]:
    """What each of `world` threads came to: a value, or the error that it raised."""
    barrier, said = Barrier(world), dict[int, bytes]()

    def one(rank: int) -> Any:
        try:
            return work(Thread(rank, world, barrier, said))
        except Exception as error:
            return error

    with ThreadPoolExecutor(world) as threads:
        return list(threads.map(one, range(world)))


WHOLE = {
    "weight": torch.arange(35.0).reshape(7, 5),
    "bias": torch.arange(2.0),
    "half": torch.arange(12, dtype=torch.bfloat16).reshape(3, 2, 2),
}


def rows_of(tensor: Tensor, rank: int, world: int) -> Tensor:
    rows = -(-len(tensor) // world)
    return tensor[rows * rank : rows * (rank + 1)]


def save_shares(run: Path, world: int, step: int = 3, **changes: Any) -> list[Any]:
    def work(peer: Thread) -> Path:
        mine = {name: rows_of(tensor, peer.rank, world) for name, tensor in WHOLE.items()}
        counted = {"steps": torch.tensor(3.0)} if peer.rank == 0 else {}
        kept: dict[str, Any] = {"state": {"step": step}, "components": [], "folders": {}, "keep": 2}
        tensors = {"model": mine, "optimizer": mine | counted}
        return save(run, step, tensors=tensors, peers=peer, **(kept | changes))

    return together(world, work)


@pytest.mark.parametrize("world", [2, 3, 5])
def test_what_several_wrote_comes_back_whole_and_in_any_shares(run: Path, world: int) -> None:
    paths = save_shares(run, world)
    assert paths == [run / "checkpoints/step-00000003"] * world
    found = newest(run, warn=pytest.fail)
    assert found is not None
    assert found.stems == ["model", "optimizer"]
    assert sorted(p.name for p in found.path.glob("model*")) == [file_name("model", r, world) for r in range(world)]
    assert list(found.tensors("optimizer")["steps"].shape) == []
    for name, tensor in found.tensors("model").items():
        assert torch.equal(tensor, WHOLE[name]), name
        assert tensor.dtype == WHOLE[name].dtype, name
    for other in (1, 2, 4):
        stored = found.stored("optimizer")
        assert stored["weight"].shape == (7, 5)
        shares = [stored["weight"][-(-7 // other) * r : -(-7 // other) * (r + 1)] for r in range(other)]
        assert torch.equal(torch.cat(shares), WHOLE["weight"])


@given(rows=st.lists(st.integers(0, 4), min_size=1, max_size=5), first=st.integers(0, 20), count=st.integers(0, 20))
def test_any_rows_of_any_shares(
    tmp_path_factory: pytest.TempPathFactory, rows: list[int], first: int, count: int
) -> None:
    place = tmp_path_factory.mktemp("shares")
    whole = torch.randn(sum(rows), 2, generator=torch.Generator().manual_seed(sum(rows)))
    files = []
    for rank, part in enumerate(torch.split(whole, rows)):
        files.append(place / file_name("model", rank, len(rows)))
        save_file({"weight": part.clone()}, files[-1])
    stored = open_shards(files)["weight"]
    assert torch.equal(stored[...], whole)
    assert torch.equal(stored[first : first + count], whole[first : first + count])


def test_where_one_cannot_write_all_are_told_and_nothing_is_left(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_shares(run, 2)

    module = sys.modules["lmkit.checkpoint.save"]
    write = module._write_tensors

    def full(path: Path, tensors: Any) -> None:
        if "1-of-2" in path.name:
            raise OSError(28, "No space left on device")
        write(path, tensors)

    monkeypatch.setattr(module, "_write_tensors", full)
    errors = save_shares(run, 2, step=4)
    assert {type(error) for error in errors} == {CheckpointError}
    [said] = {str(error) for error in errors}
    assert said.endswith("No space left on device. Free some space on that disk. Older checkpoints are as they were.")
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000003"]


def test_where_the_first_cannot_write_its_own_files_all_are_told(run: Path) -> None:
    def broken(folder: Path) -> None:
        raise RuntimeError("a tokenizer that cannot save itself")

    first, second = save_shares(run, 2, folders={"tokenizer": broken})
    assert isinstance(first, RuntimeError)
    assert isinstance(second, CheckpointError)
    assert str(second) == (
        f"{run}/checkpoints/step-00000003 cannot be saved: process 0: RuntimeError: a tokenizer that cannot save "
        "itself. Older checkpoints are as they were."
    )
    assert list((run / "checkpoints").iterdir()) == []


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("half a pair: \ud800")], ids=["silent", "unsayable"])
def test_whatever_one_raises_the_others_are_told(run: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    module = sys.modules["lmkit.checkpoint.save"]
    write = module._write_tensors

    def broken(path: Path, tensors: Any) -> None:
        if "1-of-2" in path.name:
            raise error
        write(path, tensors)

    monkeypatch.setattr(module, "_write_tensors", broken)
    first, second = save_shares(run, 2)
    assert second is error
    assert isinstance(first, CheckpointError)
    assert f"step-00000003 cannot be saved: process 1: {type(error).__name__}: " in str(first)
    assert list((run / "checkpoints").iterdir()) == []


def test_a_whole_checkpoint_stays_and_older_ones_go(run: Path) -> None:
    for step in (3, 4, 5):
        assert save_shares(run, 2, step=step) == [run / f"checkpoints/step-0000000{step}"] * 2
    before = (run / "checkpoints/step-00000005").stat().st_ino
    assert save_shares(run, 2, step=5) == [run / "checkpoints/step-00000005"] * 2
    assert (run / "checkpoints/step-00000005").stat().st_ino == before
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["step-00000004", "step-00000005"]


@pytest.mark.parametrize(
    "names",
    [
        ["model.0-of-2.safetensors"],
        ["model.1-of-2.safetensors", "model.2-of-2.safetensors"],
        ["model.safetensors", "model.0-of-2.safetensors", "model.1-of-2.safetensors"],
        ["model.0-of-2.safetensors", "model.1-of-2.safetensors", "model.0-of-3.safetensors"],
        [f"model.0-of-{10**100}.safetensors"],
    ],
)
def test_shares_that_are_not_all_there_are_refused(names: list[str]) -> None:
    with pytest.raises(ValueError, match=r'the tensors "model" are not whole: there are model\.'):
        files_by_stem([*names, "state.json", "tokenizer/model.safetensors"])


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ({"w": torch.zeros(2, 3)}, {"w": torch.zeros(2, 4)}, "the shares of w do not"),
        ({"w": torch.zeros(2)}, {"w": torch.zeros(2, dtype=torch.bfloat16)}, "the shares of w do not"),
        ({"w": torch.tensor(1.0)}, {"w": torch.tensor(1.0)}, "the shares of w do not"),
        (
            {"w": torch.zeros(2), "v": torch.zeros(1)},
            {"w": torch.zeros(2), "u": torch.zeros(1)},
            "u is not in model.0-of-2",
        ),
    ],
)
def test_shares_that_do_not_belong_together_are_refused(
    tmp_path: Path, first: dict[str, Tensor], second: dict[str, Tensor], why: str
) -> None:
    files = [tmp_path / file_name("model", rank, 2) for rank in range(2)]
    for file, tensors in zip(files, (first, second), strict=True):
        save_file(tensors, file)
    with pytest.raises(IntegrityError, match=why):
        open_shards(files)


def test_a_missing_share_is_named(run: Path) -> None:
    [path, _] = save_shares(run, 2)
    (path / file_name("optimizer", 1, 2)).unlink()
    with pytest.raises(IntegrityError, match=r"optimizer\.1-of-2\.safetensors is missing"):
        open_checkpoint(path)
