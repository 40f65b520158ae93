import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmkit.data import blocks as blocks_module
from lmkit.data.blocks import BLOCKS_VERSION, Blocks, surroundings
from lmkit.data.store import Store
from lmkit.data.tally import Tally
from lmkit.errors import FitError
from tests.data.byte_tokenizer import CLS, SEP, ByteTokenizer
from tests.data.conftest import make_store

TEXTS = st.lists(st.text("abc ", min_size=1, max_size=40), min_size=1, max_size=30)


def pieces_of(blocks: Blocks, overhead: int) -> list[tuple[int, ...]]:
    """The pieces of all blocks, without what is put around them."""
    found = []
    for index in range(len(blocks)):
        tokens, lengths = blocks.block(index)
        assert len(tokens) == sum(lengths) <= blocks.block_tokens
        for piece in np.split(tokens, np.cumsum(lengths)[:-1]):
            if overhead:
                assert (piece[0], piece[-1]) == (CLS, SEP)
                piece = piece[1:-1]
            found.append(tuple(piece.tolist()))
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS, block_tokens=st.integers(3, 50), wrapped=st.booleans(), eos=st.booleans(), window=st.integers(1, 9))
def test_blocks_hold_every_token_once_in_pieces_of_one_document(
    texts: list[str], block_tokens: int, wrapped: bool, eos: bool, window: int
) -> None:
    store = make_store(texts, f"{abs(hash((tuple(texts), eos)))}", eos=eos)
    prefix, suffix = surroundings(ByteTokenizer()) if wrapped else ((), ())
    room = block_tokens - 2 * wrapped
    wanted: Counter[tuple[int, ...]] = Counter()
    for start, stop in zip(store.borders[:-1], store.borders[1:], strict=True):
        document = store.tokens[start:stop].tolist()
        wanted.update(tuple(document[i : i + room]) for i in range(0, len(document), room))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_module, "_WINDOW", window)
        blocks = Blocks(store, block_tokens, prefix, suffix)
    assert Counter(pieces_of(blocks, 2 * wrapped)) == wanted
    assert blocks.tokens == store.total_tokens + 2 * wrapped * wanted.total()
    assert blocks.filler == pytest.approx(1 - blocks.tokens / (len(blocks) * block_tokens))


def test_blocks_are_a_function_of_store_and_size_alone() -> None:
    rng = np.random.default_rng(0)
    texts = ["x" * n for n in rng.integers(1, 90, 500)]
    index = [
        {path.name: path.read_bytes() for path in sorted((store.folder / f"blocks-{BLOCKS_VERSION}-64-2").iterdir())}
        for store in (make_store(texts, "a"), make_store(texts, "b"))
        if Blocks(store, 64, *surroundings(ByteTokenizer()))
    ]
    assert index[0] == index[1]
    assert set(index[0]) == {"starts.bin", "lengths.bin", "borders.bin", "manifest.json"}


def test_what_is_put_around_pieces_comes_from_the_tokenizer() -> None:
    prefix, suffix = surroundings(ByteTokenizer())
    assert (prefix.tolist(), suffix.tolist()) == ([CLS], [SEP])


def test_a_block_must_have_room_for_text() -> None:
    with pytest.raises(FitError) as error:
        Blocks(make_store(["text"]), 2, (CLS,), (SEP,))
    assert str(error.value) == "block_tokens 2 leaves no room for text beside 2 special tokens"


def synthetic(lengths: np.ndarray) -> Store:
    """A store of documents of these lengths; its tokens are the numbers from 0 on."""
    store = make_store(["text"])
    borders = np.concatenate([[0], np.cumsum(lengths)])
    return Store(
        folder=store.folder, fingerprint="synthetic", documents=len(lengths), vocabulary_size=1 << 32,
        tokens=np.arange(borders[-1], dtype=np.uint32), borders=borders, document_bytes=lengths,
        total_bytes=int(borders[-1]), tally=Tally(),
    )  # fmt: skip


def test_books_of_ten_million_tokens_are_cut_in_no_time() -> None:
    store = synthetic(np.random.default_rng(0).integers(1000, 120_000, 170))
    began = time.perf_counter()
    blocks = Blocks(store, 128, (0,), (0,))
    assert time.perf_counter() - began < 1
    assert store.total_tokens > 9_000_000
    assert blocks.filler < 0.001


@pytest.mark.slow
def test_a_million_paragraphs_are_packed_in_seconds() -> None:
    store = synthetic(np.random.default_rng(0).integers(1, 200, 1_000_000))
    began = time.perf_counter()
    blocks = Blocks(store, 128, (0,), (0,))
    assert time.perf_counter() - began < 10
    assert blocks.filler < 0.01
    seen = np.concatenate([blocks.block(i)[0] for i in range(0, len(blocks), 100)])
    assert np.unique(seen[seen > 0], return_counts=True)[1].max() == 1
