import json
import multiprocessing
import os
import signal
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from lmkit.data.build import build_store
from lmkit.data.corpus import PIECE_CHARACTERS, Piece, read_documents
from lmkit.data.files import find
from lmkit.data.folder import MANIFEST
from lmkit.data.prepare import prepare
from lmkit.data.settings import Data
from lmkit.data.store import Store, fingerprint_of, open_store, store_folder
from lmkit.data.tally import Tally
from lmkit.errors import DataError, FitError, IntegrityError
from tests.data.byte_tokenizer import EOS, ByteTokenizer
from tests.data.conftest import Write, make_store

DOCUMENTS = ["One.", "Zwei süß.", "x" * 300]


def texts_of(store: Store) -> list[str]:
    return [ByteTokenizer().decode(store.tokens[a:b]) for a, b in pairwise(store.borders)]


@pytest.mark.parametrize(("size", "dtype"), [(260, np.uint16), (1 << 16, np.uint16), (70_000, np.uint32)])
def test_documents_lie_end_to_end_each_ended_by_eos(size: int, dtype: type) -> None:
    store = make_store(DOCUMENTS, size=size)
    assert store.tokens.dtype == dtype
    assert texts_of(store) == DOCUMENTS
    assert (store.tokens[store.borders[1:] - 1] == EOS).all()
    assert store.document_bytes.tolist() == [4, 11, 300]
    assert (store.documents, store.total_tokens, store.total_bytes) == (3, 318, 315)
    assert store.vocabulary_size == size
    store.verify()


def test_without_eos_nothing_is_added() -> None:
    assert make_store(DOCUMENTS, eos=False).borders.tolist() == [0, 4, 15, 315]


@pytest.mark.parametrize("document", ["file", "paragraph", "line"])
def test_documents_of_many_pieces_and_batches_come_back_whole(write: Write, document: str) -> None:
    long = "".join(f"Line {i} of a long text.\n" for i in range(80_000))
    files = find([write("a.txt", "short\n\n" + long), write("b.txt", "last\n")])
    data = Data(train=[file.path for file in files], document=document)
    tally = Tally()
    store = build_store(read_documents(files, data, tally), ByteTokenizer(), "long", tally)
    lines = long.removesuffix("\n").split("\n")
    wanted = {
        "file": ["short\n\n" + long, "last\n"],
        "paragraph": ["short", long.removesuffix("\n"), "last"],
        "line": ["short", *lines, "last"],
    }[document]
    assert len(long) > 20 * PIECE_CHARACTERS
    assert texts_of(store) == wanted
    assert store.document_bytes.tolist() == [len(text) for text in wanted]
    assert store.tally == tally == open_store("long").tally
    store.verify()


def test_a_fingerprint_depends_on_text_settings_tokenizer_and_part_alone(write: Write) -> None:
    a, b = find([write("a.txt", "x"), write("b.txt", "y")])
    data = Data(train=["anything"])
    made = [
        fingerprint_of([a.identity()], data, "t"),
        fingerprint_of([b.identity()], data, "t"),
        fingerprint_of([a.identity(), b.identity()], data, "t"),
        fingerprint_of([b.identity(), a.identity()], data, "t"),
        fingerprint_of([a.identity()], data, "u"),
        fingerprint_of([a.identity()], data, "t", part="held out"),
        *(
            fingerprint_of([a.identity()], Data(train=["anything"], **change), "t")
            for change in ({"document": "line"}, {"column": "body"}, {"bad_input": "skip"}, {"longest_line_mb": 1.0})
        ),
    ]
    assert len(set(made)) == len(made) == 10
    assert fingerprint_of([a.identity()], Data(train=["elsewhere"], validation=0.5), "t") == made[0]


def test_a_store_is_built_once() -> None:
    first = make_store(DOCUMENTS)
    again = build_store(iter([1 / 0] for _ in ()), ByteTokenizer(), "of-a-test", Tally())
    assert again.folder == first.folder
    assert texts_of(again) == DOCUMENTS


def test_damage_is_told_by_name() -> None:
    store = make_store(DOCUMENTS)
    remedy = f"Delete {store.folder}: it is made again from the text"

    def message() -> str:
        with pytest.raises(IntegrityError) as error:
            open_store("of-a-test").verify()
        return str(error.value)

    tokens = store.folder / "tokens.bin"
    whole = tokens.read_bytes()
    tokens.write_bytes(whole[:-2] + b"\0\0")
    assert message() == f"{tokens}: its bytes have changed. {remedy}"
    tokens.write_bytes(whole[:-2])
    assert message() == f"{tokens}: 634 bytes, where 636 bytes are wanted. {remedy}"
    tokens.unlink()
    assert message() == f"{tokens}: absent, where 636 bytes are wanted. {remedy}"
    manifest = store.folder / MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "version": 99}))
    assert message() == f"{manifest}: version 99, where this lmkit reads version 1. {remedy}"
    manifest.write_text("{")
    assert message().startswith(f"{manifest}: not the manifest of a token store: ")
    with pytest.raises(IntegrityError, match=r"none/manifest.json: not the manifest of a token store: "):
        open_store("none")


def test_a_build_that_fails_leaves_nothing_behind(write: Write) -> None:
    path = write("a.txt", b"fine\n" * 10_000 + b"\xff")
    data = Data(train=[path], document="line")
    with pytest.raises(DataError, match=r"a.txt:10001: byte 1 of the line, 0xff"):
        build_store(read_documents(find([path]), data, Tally()), ByteTokenizer(), "bad", Tally())
    assert [path.name for path in store_folder("bad").parent.iterdir()] == ["bad.lock"]


def test_a_corpus_without_text_is_refused() -> None:
    with pytest.raises(DataError) as error:
        make_store([])
    assert str(error.value) == (
        "no text is left to tokenize, of 0 files. Add some, or name files for validation in "
        "[data] where a share of them holds out all or none"
    )


def test_ids_outside_the_vocabulary_are_refused() -> None:
    with pytest.raises(FitError) as error:
        build_store([Piece("\xff", 2, True)], Wrong(), "wrong", Tally())
    assert str(error.value) == 'tokenizer "test-bytes" gives ids from 259 to 300, where its vocabulary has 260'


class Wrong(ByteTokenizer):
    def encode_batch(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        return [np.array([300])]


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LMKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError) as error:
        make_store(DOCUMENTS)
    assert str(error.value) == (
        f"{tmp_path}/file/stores/of-a-test: cannot be written: Not a directory. Set LMKIT_CACHE to a folder of your own"
    )


FORK = multiprocessing.get_context("fork")  # a killed build dies with what it had imported


def build(path: Path, cache: Path, tokenizer: ByteTokenizer | None = None) -> Path:
    os.environ["LMKIT_CACHE"] = str(cache)
    data = Data(train=[path], document="paragraph")
    return prepare(data, tokenizer or ByteTokenizer(), "t").train[0].folder


def kill_myself(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class KillsMyself(ByteTokenizer):
    """Dies in the middle of tokenizing, or, after 0 calls, of moving the finished store to its place."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls

    def encode_batch(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        self.calls -= 1
        if self.calls == 0:
            kill_myself()
        if self.calls < 0:
            Path.rename = kill_myself  # type: ignore[assignment, method-assign]
        return super().encode_batch(texts)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("calls", [1, 7, 0])
def test_a_killed_build_is_never_used_and_the_next_is_as_if_it_had_not_been(
    write: Write, tmp_path: Path, calls: int
) -> None:
    path = write("a.txt", "".join(f"Paragraph {i}.\n\n" for i in range(30_000)))
    whole = build(path, tmp_path / "whole")
    process = FORK.Process(target=build, args=(path, tmp_path / "killed", KillsMyself(calls)))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    stores = tmp_path / "killed" / "stores"
    assert {path.name for path in stores.iterdir()} == {f"{whole.name}.unfinished", f"{whole.name}.lock"}
    assert build(path, tmp_path / "killed") == stores / whole.name
    assert contents(stores / whole.name) == contents(whole)
    assert {path.name for path in stores.iterdir()} == {whole.name, f"{whole.name}.lock"}


def test_processes_that_build_at_once_share_one_store(write: Write, tmp_path: Path) -> None:
    path = write("a.txt", "".join(f"Paragraph {i}.\n\n" for i in range(30_000)))
    processes = [FORK.Process(target=build, args=(path, tmp_path / "shared")) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    folder = build(path, tmp_path / "shared")
    assert contents(folder) == contents(build(path, tmp_path / "alone"))
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, f"{folder.name}.lock"}
