"""Files to read, and stores of them in a cache of the test's own."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkit.data.build import build_store
from lmkit.data.corpus import Piece, read_documents
from lmkit.data.files import find
from lmkit.data.settings import Data
from lmkit.data.store import Store
from lmkit.data.tally import Tally
from tests.data.byte_tokenizer import ByteTokenizer

Write = Callable[[str, str | bytes], Path]


@pytest.fixture(autouse=True)
def _cache_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of the test, gzipped where its name says so."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / "text" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
        return path

    return write


def documents_of(
    path: Path, *, tally: Tally | None = None, held_out: bool | None = None, **settings: object
) -> list[str]:
    """The documents of a path, each whole."""
    data = Data(train=(path,), **settings)  # type: ignore[arg-type]
    documents = [""]
    for piece in read_documents(find([path]), data, tally or Tally(data.bad_input), held_out=held_out):
        assert piece.bytes == len(piece.text.encode())
        documents[-1] += piece.text
        documents += [""] * piece.ends_document
    assert documents.pop() == "", "the last document did not end"
    return documents


def make_store(documents: list[str], fingerprint: str = "of-a-test", **tokenizer: object) -> Store:
    pieces = [Piece(text, len(text.encode()), True) for text in documents]
    return build_store(pieces, ByteTokenizer(**tokenizer), fingerprint, Tally())  # type: ignore[arg-type]
