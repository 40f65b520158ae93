"""What is saved comes back to the bit; what is kept, deleted and set aside."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lmkit.checkpoint import newest, open_checkpoint, save
from lmkit.errors import CheckpointError

Write = Callable[..., Path]


def fail(sentence: str) -> None:
    raise AssertionError(f"warned of nothing: {sentence}")


def names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def save_tensors(run: Path, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return open_checkpoint(
        save(run, 1, tensors={"model": tensors}, state={}, components=[], folders={}, keep=1)
    ).tensors("model")


def bits(tensor: Tensor) -> bytes:
    return bytes(tensor.contiguous().reshape(-1).view(torch.uint8).tolist())


def test_a_checkpoint_comes_back_as_it_was(run: Path, write: Write, assert_is_whole: Callable[..., None]) -> None:
    path = write(1000)
    assert path == run / "checkpoints" / "step-00001000"
    assert sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()) == [
        "manifest.json",
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
        "tokenizer/special.txt",
        "tokenizer/tokenizer.json",
    ]
    assert_is_whole(open_checkpoint(path), 1000)
    found = newest(run, warn=fail)
    assert found is not None
    assert_is_whole(found, 1000)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_every_bit_pattern_of_a_dtype_comes_back(run: Path, dtype: torch.dtype) -> None:
    """All of the two-byte types, infinities, NaNs with their payloads and denormals too; of fp32 as many, at random."""
    patterns = torch.arange(65536, dtype=torch.int32).to(torch.int16)
    if dtype == torch.float32:
        drawn = torch.randint(-(2**31), 2**31, (65536,), generator=torch.Generator().manual_seed(1), dtype=torch.int64)
        patterns = drawn.to(torch.int32)
    tensor = patterns.view(dtype).reshape(256, 256)
    found = save_tensors(run, {"w": tensor})["w"]
    assert found.dtype == dtype
    assert found.shape == tensor.shape
    assert bits(found) == bits(tensor)


def test_views_shared_memory_scalars_and_empty_tensors_are_saved(run: Path) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    tensors = {
        "base": base,
        "transposed": base.T,
        "slice": base[1:3],
        "strided": base[:, ::2],
        "same": base,
        "expanded": torch.ones(1).expand(5),
        "gradient": torch.ones(2, requires_grad=True),
        "scalar": torch.tensor(3.5),
        "step": torch.tensor(7),
        "empty": torch.empty(0, 3),
        "empty too": torch.empty(0),
    }
    found = save_tensors(run, tensors)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor), name
        assert found[name].dtype == tensor.dtype
    assert not found["gradient"].requires_grad


def test_a_loaded_tensor_is_no_longer_of_its_file(run: Path, write: Write) -> None:
    """Mapped, it would hold a deleted checkpoint's place on the disk for as long as the run goes on."""
    path = write(1)
    weight = open_checkpoint(path).tensors("model")["weight"]
    assert str(path) not in Path("/proc/self/maps").read_text()
    weight.zero_()
    assert open_checkpoint(path).tensors("model")["weight"].abs().sum() > 0


def test_files_have_the_mode_that_the_umask_gives(run: Path, write: Write) -> None:
    before = os.umask(0o027)
    try:
        path = write(1)
    finally:
        os.umask(before)
    files = [p for p in path.rglob("*") if p.is_file()]
    assert {oct(p.stat().st_mode & 0o777) for p in files} == {"0o640"}
    assert oct(path.stat().st_mode & 0o777) == "0o750"
    assert len(files) == 6


def test_the_same_step_has_the_same_bytes(tmp_path: Path, save_step: Write) -> None:
    runs = tmp_path / "one", tmp_path / "other"
    for folder in runs:
        folder.mkdir()
    paths = [save_step(folder, 5) for folder in runs]
    mine, its = ({p.name: p.read_bytes() for p in path.rglob("*") if p.is_file()} for path in paths)
    assert mine == its
    assert len(mine) == 6


def test_the_newest_are_kept_by_step_whatever_the_clock_says(run: Path, write: Write) -> None:
    for step in (2, 10, 30, 99, 100):
        path = write(step)
        os.utime(path, (1e9 - step, 1e9 - step))  # the newest looks the oldest
    assert names(run) == ["step-00000099", "step-00000100"]
    found = newest(run, warn=fail)
    assert found is not None
    assert found.step == 100


def test_all_are_kept_until_there_are_more_than_that(run: Path, write: Write) -> None:
    for step in range(1, 6):
        write(step, keep=4)
        assert names(run) == [f"step-{kept:08d}" for kept in range(max(step - 3, 1), step + 1)]


def test_protected_checkpoints_stay_besides_those_kept(run: Path, write: Write) -> None:
    for step in range(1, 6):
        write(step, keep=1, protect={"step-00000002"})
    assert names(run) == ["step-00000002", "step-00000005"]
    write(6, keep=1)
    assert names(run) == ["step-00000006"]


def test_all_is_on_disk_before_it_has_its_name_and_nothing_is_deleted_before_that(
    run: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(1, keep=1)
    log: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def name(path: Any) -> str:
        """Relative to the run, "new" for the folder that is being written, "doomed" for one that is being deleted."""
        text = str(Path(path).relative_to(run))
        return re.sub(r"\.tmp-step-00000001\S*", "doomed", re.sub(r"\.tmp-step-00000002[^/]*", "new", text))

    def watched_fsync(descriptor: int) -> None:
        log.append(("fsync", name(os.readlink(f"/proc/self/fd/{descriptor}"))))
        fsync(descriptor)

    def watched_rename(old: Any, new: Any) -> None:
        log.append((f"rename {name(old)}", name(new)))
        rename(old, new)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    write(2, keep=1)
    files = ["model.safetensors", "optimizer.safetensors", "state.json", "tokenizer/special.txt"]
    assert log == [
        *(("fsync", f"checkpoints/new/{name}") for name in [*files, "tokenizer/tokenizer.json", "tokenizer"]),
        ("fsync", "checkpoints/new/manifest.json"),
        ("fsync", "checkpoints/new"),
        ("rename checkpoints/new", "checkpoints/step-00000002"),
        ("fsync", "checkpoints"),
        ("rename checkpoints/step-00000001", "checkpoints/doomed"),
    ]


def test_what_is_not_a_checkpoint_of_ours_is_never_deleted(run: Path, tmp_path: Path, write: Write) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "dear").write_text("")
    place = run / "checkpoints"
    place.mkdir()
    strange = ["notes", "step-1", "step-000000001", "step-0000000x", "step-00000001.old", ".tmp-mine", ".tmp-step-1"]
    for name in strange:
        (place / name).mkdir()
    (place / "step-00000003").symlink_to(outside)
    (place / ".tmp-step-00000003-1-00000000").symlink_to(outside)
    for step in (10, 20, 30):
        write(step, keep=1)
    assert names(run) == sorted([*strange, "step-00000003", ".tmp-step-00000003-1-00000000", "step-00000030"])
    assert (outside / "dear").exists()


def test_leftovers_of_killed_savers_are_swept(run: Path, write: Write) -> None:
    write(1)
    left = run / "checkpoints" / ".tmp-step-00000002-4711-0123abcd"
    (left / "tokenizer").mkdir(parents=True)
    (left / "tokenizer" / "half").write_text("")
    found = newest(run, warn=fail)
    assert found is not None
    assert found.step == 1
    write(2)
    assert names(run) == ["step-00000001", "step-00000002"]


def test_a_step_that_is_saved_already_is_left_as_it_is(run: Path, write: Write) -> None:
    path = write(3)
    before = (path / "manifest.json").stat().st_ino
    assert write(3, state={"other": 1}) == path
    assert (path / "manifest.json").stat().st_ino == before
    assert names(run) == ["step-00000003"]


def test_a_damaged_checkpoint_of_the_same_step_is_set_aside(
    run: Path, write: Write, assert_is_whole: Callable[..., None]
) -> None:
    path = write(3)
    (path / "state.json").write_text("{}")
    assert_is_whole(open_checkpoint(write(3)), 3)
    aside, whole = names(run)
    assert aside.startswith("aside-step-00000003-")
    assert whole == "step-00000003"
    assert (run / "checkpoints" / aside / "state.json").read_text() == "{}"


def test_a_run_that_went_back_goes_on_from_where_it_went_back_to(run: Path, write: Write) -> None:
    """A later step that is still there belongs to another course of the run: it may not win the next resume."""
    write(10)
    damaged = write(20)
    (damaged / "model.safetensors").write_bytes(b"")
    write(15)
    assert [name[:18] for name in names(run)] == ["aside-step-0000002", "step-00000010", "step-00000015"]
    found = newest(run, warn=fail)
    assert found is not None
    assert found.step == 15


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "Out of range float values are not JSON compliant"),
        ({1, 2}, "Object of type set is not JSON serializable"),
    ],
)
def test_a_state_that_is_not_json_is_refused_and_leaves_nothing(run: Path, write: Write, value: Any, said: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        write(1, state={"loss": value})
    assert str(caught.value).startswith(f"the state of a run cannot be written as JSON: {said}")
    assert names(run) == []


def test_a_folder_of_a_component_holds_plain_files_only(run: Path, write: Write) -> None:
    def spaced(folder: Path) -> None:
        (folder / "my file").write_text("")

    def deep(folder: Path) -> None:
        (folder / "a" / "b").mkdir(parents=True)

    with pytest.raises(CheckpointError) as caught:
        write(1, folders={"tokenizer": spaced})
    assert str(caught.value) == (
        "a checkpoint cannot hold a file named 'tokenizer/my file': expected letters, digits, '.', '_' and '-'"
    )
    with pytest.raises(CheckpointError, match=r"tokenizer/a is not a file, and a checkpoint has nothing else there$"):
        write(1, folders={"tokenizer": deep})
    assert names(run) == []


def test_a_folder_without_files_is_there_again(run: Path, write: Write) -> None:
    path = write(1, folders={"tokenizer": lambda folder: None})
    assert list(open_checkpoint(path).folder("tokenizer").iterdir()) == []


def test_an_absent_run_is_told(tmp_path: Path, save_step: Write) -> None:
    with pytest.raises(CheckpointError) as caught:
        save_step(tmp_path / "none", 1)
    assert str(caught.value) == (
        f"{tmp_path}/none/checkpoints/step-00000001 cannot be saved: No such file or directory. "
        "Make that folder first. Older checkpoints are as they were."
    )


def test_importing_checkpoints_loads_no_torch() -> None:
    code = "import sys, lmkit.checkpoint; assert not {'torch', 'numpy', 'safetensors.torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
