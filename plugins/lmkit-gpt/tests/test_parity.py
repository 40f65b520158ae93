"""What each tokenizer saves, AutoTokenizer reads: the same ids and the same texts, of every text that is hard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lmkit_gpt.bpe import BytePairEncoding
from lmkit_gpt.bytes import Bytes
from lmkit_gpt.unigram import Unigram
from transformers import AutoTokenizer

from lmkit.interfaces import Tokenizer
from lmkit.testing import TEXTS

CONFIGS: dict[type[Tokenizer], Any] = {
    BytePairEncoding: BytePairEncoding.Config(vocab_size=400, middle=True),
    Unigram: Unigram.Config(vocab_size=400, marks=3),
    Bytes: Bytes.Config(),
}


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda cls: cls.name)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Any]:
    ours = request.param.train(CONFIGS[request.param], TEXTS)
    folder: Path = tmp_path_factory.mktemp(request.param.name)
    ours.save(folder)
    return ours, AutoTokenizer.from_pretrained(folder)


def assert_same(both: tuple[Tokenizer, Any], texts: list[str]) -> None:
    ours, theirs = both
    found = theirs(texts)["input_ids"]
    ids = ours.encode_batch(texts)
    assert [ours.wrap(some).ids.tolist() for some in ids] == found
    said = [ours.decode(some) for some in ids]
    assert [theirs.decode(some, skip_special_tokens=True) for some in found] == said


def test_ids_and_texts_are_those_of_auto_tokenizer(both: tuple[Tokenizer, Any], naughty_strings: list[str]) -> None:
    assert_same(both, [*TEXTS, *naughty_strings, "", "the <|mask|> men<|endoftext|>"])


@pytest.mark.data
def test_of_hard_strings_too(both: tuple[Tokenizer, Any], hard_strings: list[str]) -> None:
    assert_same(both, hard_strings)
