"""Damage of every kind, in every file: it is noticed, named, and the older checkpoint is taken."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lmkit.checkpoint import newest, of_step, open_checkpoint
from lmkit.errors import IntegrityError

FILES = [
    "manifest.json",
    "model.safetensors",
    "optimizer.safetensors",
    "state.json",
    "tokenizer/special.txt",
    "tokenizer/tokenizer.json",
]
MANIFEST_SAYS = re.compile(
    r"manifest\.json( is damaged: (its SHA-256 is not what it says itself|it cannot be read as JSON \(.*\))"
    r"|: 1 problem\n  .*|: \d problems\n(  .*\n?)+)$"
    r"|: written by a newer lmkit, in format \d+; this one reads up to 1: upgrade lmkit$"
)

Write = Callable[..., Path]


@pytest.fixture
def pair(write: Write) -> tuple[Path, Path]:
    """An older checkpoint and a newer one, which is for breaking."""
    return write(1), write(2)


def chosen(path: Path) -> tuple[int, str]:
    """What is taken when `path` is damaged, and what is said about `path`, without its own name."""
    said: list[str] = []
    found = newest(path.parents[1], warn=said.append)
    assert found is not None
    (sentence,) = said
    assert sentence.startswith(str(path))
    assert sentence.endswith(f"; {found.path.name} is used instead")
    return found.step, sentence.removeprefix(str(path)).removesuffix(f"; {found.path.name} is used instead")


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_or_grown_is_refused(pair: tuple[Path, Path], name: str) -> None:
    path = pair[1]
    whole = (path / name).read_bytes()
    lengths = {0, 1, 7, 8, 9, len(whole) // 2, len(whole) - 8, len(whole) - 1, len(whole) + 1} - {len(whole)}
    for length in sorted(n for n in lengths if n >= 0):
        (path / name).write_bytes(whole[:length] + b"\0" * (length - len(whole)))
        step, said = chosen(path)
        assert step == 1
        if name == "manifest.json":
            assert MANIFEST_SAYS.search(said), said
        else:
            assert said == f": {name} has {length} bytes, its manifest says {len(whole)}"
    (path / name).write_bytes(whole)
    assert open_checkpoint(path).step == 2
    assert len(lengths) >= 5


@pytest.mark.parametrize("flips", [100, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_is_refused(pair: tuple[Path, Path], name: str, flips: int) -> None:
    path, draw = pair[1], random.Random(f"{name} {flips}")
    whole = (path / name).read_bytes()
    for bit in draw.sample(range(8 * len(whole)), min(flips, 8 * len(whole))):
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        (path / name).write_bytes(broken)
        step, said = chosen(path)
        assert step == 1, bit
        if name == "manifest.json":
            assert MANIFEST_SAYS.search(said), said
        else:
            assert said == f": {name} is damaged: its SHA-256 is not what its manifest says"
    (path / name).write_bytes(whole)
    assert open_checkpoint(path).step == 2


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(pair: tuple[Path, Path], name: str) -> None:
    (pair[1] / name).unlink()
    why = ": this was never a whole checkpoint" if name == "manifest.json" else ""
    assert chosen(pair[1]) == (1, f": {name} is missing{why}")


@pytest.mark.parametrize(
    "name", ["extra.safetensors", "tokenizer/extra.txt", ".hidden", "extra/file", "MODEL.safetensors"]
)
def test_an_extra_file_is_named(pair: tuple[Path, Path], name: str) -> None:
    (pair[1] / name).parent.mkdir(exist_ok=True)
    (pair[1] / name).write_text("")
    assert chosen(pair[1]) == (1, f": {name} is not in its manifest")


def test_what_is_neither_a_file_nor_a_folder_of_files_is_named(pair: tuple[Path, Path]) -> None:
    (pair[1] / "tokenizer" / "deep").mkdir()
    said = ": tokenizer/deep is not a file, and a checkpoint has nothing else there"
    assert chosen(pair[1]) == (1, said)


@pytest.mark.parametrize("name", FILES)
def test_a_symbolic_link_is_refused_even_to_the_same_bytes(pair: tuple[Path, Path], name: str, tmp_path: Path) -> None:
    (pair[1] / name).rename(tmp_path / "outside")
    (pair[1] / name).symlink_to(tmp_path / "outside")
    assert chosen(pair[1]) == (1, f": {name} is a symbolic link, which no checkpoint has")


def test_a_folder_that_is_a_symbolic_link_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    (pair[1] / "tokenizer").rename(tmp_path / "outside")
    (pair[1] / "tokenizer").symlink_to(tmp_path / "outside")
    assert chosen(pair[1]) == (1, ": tokenizer is a symbolic link, which no checkpoint has")


def test_a_checkpoint_that_is_a_symbolic_link_or_a_file_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    pair[1].rename(tmp_path / "outside")
    pair[1].symlink_to(tmp_path / "outside")
    assert chosen(pair[1]) == (1, " is a symbolic link: no checkpoint")
    pair[1].unlink()
    pair[1].symlink_to(tmp_path / "nowhere")
    assert chosen(pair[1]) == (1, " is a symbolic link: no checkpoint")
    pair[1].unlink()
    pair[1].write_text("")
    assert chosen(pair[1]) == (1, " is not a folder: no checkpoint")


@pytest.mark.parametrize("name", [name for name in FILES if name != "tokenizer/tokenizer.json"])
def test_a_file_of_another_checkpoint_is_refused(pair: tuple[Path, Path], name: str) -> None:
    older, newer = (path / name for path in pair)
    changed = older.read_bytes() != newer.read_bytes()
    assert changed == (name != "tokenizer/special.txt")
    newer.write_bytes(older.read_bytes())
    if not changed:
        assert open_checkpoint(pair[1]).step == 2
        return
    step, said = chosen(pair[1])
    assert step == 1
    assert said.startswith((f": {name} ", ": it is the checkpoint of step 1 under another name"))


def test_files_swapped_within_a_checkpoint_are_refused(write: Write, run: Path) -> None:
    write(1)
    path = write(2, tensors={"model": {"a": torch.ones(4)}, "ema": {"a": torch.zeros(4)}})
    (path / "model.safetensors").rename(path / "other")
    (path / "ema.safetensors").rename(path / "model.safetensors")
    (path / "other").rename(path / "ema.safetensors")
    assert chosen(path) == (1, ": ema.safetensors is damaged: its SHA-256 is not what its manifest says")


def test_a_renamed_checkpoint_is_refused_as_one_of_the_run_but_can_be_kept_elsewhere(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    wrong = pair[1].rename(pair[1].with_name("step-00000009"))
    assert chosen(wrong) == (1, ": it is the checkpoint of step 2 under another name")
    assert open_checkpoint(wrong.rename(tmp_path / "the-good-one")).step == 2


def test_every_damaged_one_is_told_and_the_newest_whole_one_taken(run: Path, write: Write) -> None:
    paths = [write(step, keep=9) for step in (1, 2, 3, 4)]
    (paths[3] / "state.json").write_bytes(b"")
    (paths[1] / "state.json").write_bytes(b"")
    (paths[2] / "manifest.json").unlink()
    said: list[str] = []
    found = newest(run, warn=said.append)
    assert found is not None
    assert found.step == 1
    assert [sentence.split(":")[0] for sentence in said] == [str(path) for path in reversed(paths[1:])]


def test_a_run_without_a_whole_checkpoint_does_not_start_over_unasked(pair: tuple[Path, Path]) -> None:
    (pair[0] / "state.json").unlink()
    (pair[1] / "manifest.json").unlink()
    with pytest.raises(IntegrityError) as caught:
        newest(pair[0].parents[1], warn=print)
    assert str(caught.value) == (
        f"{pair[0].parent}: no checkpoint is whole\n"
        f"  {pair[1]}: manifest.json is missing: this was never a whole checkpoint\n"
        f"  {pair[0]}: state.json is missing\n"
        "To start over, remove that folder"
    )


def test_a_run_before_its_first_checkpoint_has_none(run: Path) -> None:
    assert newest(run, warn=print) is None
    (run / "checkpoints" / ".tmp-step-00000001-1-00000000").mkdir(parents=True)
    assert newest(run, warn=print) is None


def test_a_reader_finds_the_newest_while_the_run_goes_on(
    run: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one it was about to read is deleted, because the run has saved a newer one: nothing is damaged."""
    from lmkit.checkpoint import load

    write(1, keep=1)
    check, seen = load.check, []

    def late(path: Path, *, hashed: bool) -> object:
        seen.append(path.name)
        if len(seen) == 1:
            write(2, keep=1)
        return check(path, hashed=hashed)

    monkeypatch.setattr(load, "check", late)
    said: list[str] = []
    found = newest(run, warn=said.append)
    assert found is not None
    assert (found.step, said, seen) == (2, [], ["step-00000001", "step-00000002"])


def test_what_another_process_has_hashed_is_looked_at_no_further_than_its_size(write: Write, run: Path) -> None:
    path = write(1)
    weights = path / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert of_step(run, 1, hashed=False).step == 1
    with pytest.raises(IntegrityError, match="its SHA-256 is not what its manifest says"):
        of_step(run, 1)
    weights.write_bytes(content[:-1])
    with pytest.raises(IntegrityError, match="bytes, its manifest says"):
        of_step(run, 1, hashed=False)
