"""Every component of this distribution keeps every promise of its interface: nothing is expected to fail."""

from collections.abc import Mapping
from typing import Any

import pytest
from lmkit_gpt.bpe import BytePairEncoding
from lmkit_gpt.bytes import Bytes
from lmkit_gpt.clm import CausalLanguageModelling
from lmkit_gpt.completion import Completion
from lmkit_gpt.fim import FillInTheMiddle
from lmkit_gpt.gpt2 import Gpt2
from lmkit_gpt.prefix_lm import PrefixLanguageModelling
from lmkit_gpt.unigram import Unigram

from lmkit.testing import TEXTS, Check, conformance

BPE = BytePairEncoding.train(BytePairEncoding.Config(vocab_size=400), TEXTS)
MARKED = BytePairEncoding.train(BytePairEncoding.Config(vocab_size=400, middle=True), TEXTS)
PAIRS = [{"prompt": text[:12], "completion": text[12:24]} for text in TEXTS]


def completes(answer: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return bool(answer["completion"] == row["completion"])


@pytest.mark.parametrize("check", conformance("lmkit_gpt.plugin"))
def test_the_plugin_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(BytePairEncoding, BytePairEncoding.Config(vocab_size=400)))
def test_bpe_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(Unigram, Unigram.Config(vocab_size=400)))
def test_unigram_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("corpus", ["Robin Hood", "x" * 5000, "天地玄黄" * 900])
def test_unigram_knows_every_byte_whatever_it_learned_from(corpus: str) -> None:
    tokenizer = Unigram.train(Unigram.Config(vocab_size=300), [corpus])
    assert tokenizer.vocabulary.size <= 300
    for text in ("é 天 ~{}", "Robin QZ 123", "天地玄黄宇宙洪荒", "\x01\x7f\u00ff"):
        ids = tokenizer.encode(text).ids
        assert tokenizer.vocabulary.special["unk"] not in ids
        assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("check", conformance(Bytes, Bytes.Config(middle=True, marks=3)))
def test_bytes_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(Gpt2, Gpt2.Config(layers=2, width=32, heads=2)))
def test_gpt2_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(CausalLanguageModelling))
def test_clm_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(PrefixLanguageModelling))
def test_prefix_lm_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(FillInTheMiddle, FillInTheMiddle.Config(rate=0.9), tokenizer=MARKED))
def test_fim_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(Completion, Completion.Config(max_new_tokens=8), tokenizer=BPE))
def test_completion_of_texts_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check", conformance(Completion, Completion.Config(max_new_tokens=16, temperature=0), rows=PAIRS, right=completes)
)
def test_completion_of_pairs_conforms(check: Check) -> None:
    check()
