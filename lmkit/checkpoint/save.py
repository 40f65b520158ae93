"""Save: write into a temporary folder, rename it when all is on disk, and only then delete older checkpoints.

    .tmp-step-...  files, fsync each --> manifest.json, fsync --> fsync folder --> rename to step-... --> fsync parent

Whenever the process dies or the power fails, there is the old checkpoint or the new one. The price of the fsyncs is the
disk's own speed: 0.2 s for 150 MB on a fast one.

Several processes that have shares of the tensors write and hash a file each; the first does all else, and renames when
it knows that every one has written.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs
from safetensors import SafetensorError

from lmkit.checkpoint.load import CHECKPOINTS, check, saved
from lmkit.checkpoint.manifest import (
    MANIFEST,
    STATE,
    File,
    Manifest,
    Record,
    as_json,
    files_of,
    is_plain,
    parse_json,
    step_name,
)
from lmkit.checkpoint.shards import file_name
from lmkit.errors import CheckpointError, IntegrityError, LmkitError

if TYPE_CHECKING:
    from torch import Tensor

_TEMPORARY = re.compile(r"\.tmp-step-[0-9]{8,18}-[0-9]+-[0-9a-f]{8}")
_SYSTEM_ERROR = re.compile(r"os error (\d+)")


class Peers(Protocol):
    """The processes that save together."""

    @property
    def rank(self) -> int:
        """Which of them this is."""

    @property
    def world(self) -> int:
        """How many there are."""

    def gather(self, message: bytes) -> list[bytes]:
        """What each of them says; all have to ask."""


@attrs.frozen
class _Alone:
    rank: int = 0
    world: int = 1

    def gather(self, message: bytes) -> list[bytes]:
        return [message]


def save(
    run: Path,
    step: int,
    *,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    components: Sequence[Mapping[str, Any]],
    folders: Mapping[str, Callable[[Path], None]],
    keep: int,
    protect: Collection[str] = (),
    peers: Peers | None = None,
) -> Path:
    """Write the checkpoint of `step` into a run's folder, whose lock the caller holds; returns its folder.

    `tensors` by file ("model", "optimizer"), `state` for JSON, a record of each of `components`, and what writes plain
    files into each of `folders` ("tokenizer": tokenizer.save).  Then all older ones are deleted but the newest
    `keep` - 1 and those whose folder's name is in `protect`.
    A whole checkpoint of that step is left as it is.  A damaged one is set aside under another name, and so is one of a
    later step: this run does not go on from it.
    With `peers` each of several processes calls this with its rows of the tensors, and the first one's lock, state,
    components and folders count.
    Raises CheckpointError where it cannot be written, in all of them; then the older ones are as they were.
    """
    peers = peers or _Alone()
    leads = peers.rank == 0
    place = run / CHECKPOINTS
    final = place / step_name(step)
    [name, *_] = _each(peers, final, lambda: _begin(run, final) if leads else b"")
    if not name:
        return final
    temporary = place / name.decode("ascii")

    def write() -> bytes:
        written = _write_shares(temporary, tensors, peers)
        return as_json({file: attrs.asdict(known) for file, known in written.items()})

    def finish() -> bytes:
        if leads:
            shares = [parse_json(share, temporary / MANIFEST) for share in written]
            files = {file: File(**known) for share in shares for file, known in share.items()}
            files |= _write_rest(temporary, state, folders, files)
            manifest = Manifest(
                step=step, components=tuple(Record(**c) for c in components), files=dict(sorted(files.items()))
            )
            (temporary / MANIFEST).write_bytes(manifest.to_bytes())
            _sync(temporary / MANIFEST)
            _sync(temporary)
            os.rename(temporary, final)
            _sync(place)
        return b""

    try:
        written = _each(peers, final, write)
        _each(peers, final, finish)
    except BaseException:
        if leads:
            shutil.rmtree(temporary, ignore_errors=True)
        raise
    _each(peers, final, lambda: _rotate(run, final, keep, protect) if leads else b"", saved=True)
    return final


def _each(peers: Peers, final: Path, work: Callable[[], bytes], *, saved: bool = False) -> list[bytes]:
    """Have each process do its work: what each came to, or an error in all of them where one failed."""
    failure: Exception | None = None
    try:
        message = b"+" + work()
    except (OSError, SafetensorError) as error:
        how = "is saved, but an older one cannot be deleted" if saved else "cannot be saved"
        kept = "" if saved else " Older checkpoints are as they were."
        failure = CheckpointError(f"{final} {how}: {_why(error)}{kept}")
        failure.__cause__ = error
    except Exception as error:  # such as a tokenizer raises that cannot save itself: the others are waiting
        failure = error
    told = str(failure) if isinstance(failure, LmkitError) else f"{final} cannot be saved: {_named(failure, peers)}"
    try:
        said = peers.gather(message if failure is None else f"-{told}".encode(errors="backslashreplace"))
    except Exception:
        if failure is None:
            raise
        raise failure from None  # what was wrong here, not that the others have gone meanwhile
    if failure is not None:
        raise failure
    for words in said:
        if words.startswith(b"-"):
            raise CheckpointError(words[1:].decode())
    return [words[1:] for words in said]


def _named(failure: Exception | None, peers: Peers) -> str:
    """What the others are told of an error that nobody foresaw, which may say nothing itself."""
    return f"process {peers.rank}: {type(failure).__name__}: {failure}. Older checkpoints are as they were."


def _begin(run: Path, final: Path) -> bytes:
    """Make the temporary folder; its name, or nothing where the checkpoint is there and whole."""
    place = final.parent
    if not place.is_dir():
        place.mkdir()
        _sync(run)
    _sweep(place)
    if os.path.lexists(final):
        try:
            check(final)
            return b""
        except IntegrityError:
            _set_aside(final)
    temporary = place / f".tmp-{final.name}-{os.getpid()}-{secrets.token_hex(4)}"
    temporary.mkdir()
    return temporary.name.encode("ascii")


def _write_shares(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], peers: Peers) -> dict[str, File]:
    """This process's tensors, on disk, and what their files are."""
    written = {}
    for stem, named in tensors.items():
        name = file_name(stem, peers.rank, peers.world)
        _write_tensors(folder / name, named)
        (folder / name).chmod(folder.stat().st_mode & 0o666)  # safetensors gives its files to their owner alone
        _sync(folder / name)
        written[name] = File.of(folder / name)
    return written


def _write_rest(
    folder: Path,
    state: Mapping[str, Any],
    folders: Mapping[str, Callable[[Path], None]],
    written: Collection[str],
) -> dict[str, File]:
    """All files but the manifest and what is `written`, on disk, and what they are."""
    try:
        (folder / STATE).write_bytes(as_json(dict(state)))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"the state of a run cannot be written as JSON: {error}") from error
    for name, write in folders.items():
        (folder / name).mkdir()
        write(folder / name)
    there = list(files_of(folder))
    if strange := [name for name in there if not is_plain(name)]:
        raise CheckpointError(
            f"a checkpoint cannot hold a file named {strange[0]!r}: expected letters, digits, '.', '_' and '-'"
        )
    names = [name for name in there if name not in written]
    for name in [*names, *folders]:
        _sync(folder / name)
    return {name: File.of(folder / name) for name in names}


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    from safetensors.torch import save_file

    plain: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        if tensor.untyped_storage().data_ptr() in storages:  # safetensors refuses two names for one memory
            tensor = tensor.clone()
        storages.add(tensor.untyped_storage().data_ptr())
        plain[name] = tensor
    save_file(plain, path)


def _rotate(run: Path, newest: Path, keep: int, protect: Collection[str]) -> bytes:
    folders = saved(run)
    at = folders.index(newest)
    for path in folders[at + 1 :]:
        if path.name not in protect:
            _set_aside(path)
    for path in folders[: max(at + 1 - keep, 0)]:
        if path.name not in protect and not path.is_symlink():
            doomed = path.with_name(f".tmp-{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
            os.rename(path, doomed)  # at once, so that nobody sees half of it
            shutil.rmtree(doomed)
    return b""


def _set_aside(path: Path) -> None:
    os.rename(path, path.with_name(f"aside-{path.name}-{secrets.token_hex(4)}"))


def _sweep(place: Path) -> None:
    """Delete what killed savers left."""
    for path in place.iterdir():
        if _TEMPORARY.fullmatch(path.name) and not path.is_symlink():
            shutil.rmtree(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _why(error: Exception) -> str:
    """The system's reason and what to do about it, from an OSError or from safetensors' account of one."""
    number = error.errno if isinstance(error, OSError) else None
    if match := _SYSTEM_ERROR.search(str(error)):
        number = int(match[1])
    reason = os.strerror(number) if number else str(error)
    advice = {
        errno.ENOENT: "Make that folder first.",
        errno.ENOSPC: "Free some space on that disk.",
        errno.EDQUOT: "Free some space within your quota.",
        errno.EROFS: "Mount that disk for writing.",
        errno.EACCES: "Give yourself write permission there.",
        errno.EPERM: "Give yourself write permission there.",
    }
    return f"{reason}. {advice.get(number or 0, 'See whether that disk is well.')}"
