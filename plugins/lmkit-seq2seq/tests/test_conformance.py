"""Every component of this distribution keeps every promise of its interface: nothing is expected to fail."""

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import pytest
from lmkit_seq2seq.seq2seq import Seq2Seq
from lmkit_seq2seq.span_denoising import SpanDenoising
from lmkit_seq2seq.translation import Translation

from lmkit.batch import Example
from lmkit.testing import TEXTS, Check, conformance
from lmkit.testing.reference import ByteTokenizer
from lmkit.testing.reference.tokenizer import ROLES

MARKED = ByteTokenizer(ByteTokenizer.Config(roles=(*ROLES, *(f"mark_{n}" for n in range(20)))))
RNG = np.random.default_rng(0)
PAIRS = [
    Example(tokens=ids, lengths=(len(ids),), target=np.append(ids[::-1], MARKED.vocabulary.special["eos"]), key=(1, n))
    for n, ids in enumerate(RNG.integers(40, 120, 12) for _ in range(8))
]
ROWS = [{"source": text[:14], "target": text[14:26]} for text in TEXTS]


def translates(answer: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return bool(answer["translation"] == row["target"].strip())


@pytest.mark.parametrize("check", conformance("lmkit_seq2seq.plugin"))
def test_the_plugin_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(SpanDenoising, tokenizer=MARKED))
def test_span_denoising_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(SpanDenoising, SpanDenoising.Config(mixture="ul2"), tokenizer=MARKED))
def test_a_mixture_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(Seq2Seq, tokenizer=MARKED, examples=PAIRS))
def test_seq2seq_conforms(check: Check) -> None:
    check()


ACROSS = Translation.Config(max_new_tokens=16, beams=2)


@pytest.mark.parametrize("check", conformance(Translation, ACROSS, rows=ROWS, right=translates))
def test_translation_across_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check", conformance(Translation, attrs.evolve(ACROSS, by="prefix"), rows=ROWS, right=translates)
)
def test_translation_by_prefix_conforms(check: Check) -> None:
    check()
