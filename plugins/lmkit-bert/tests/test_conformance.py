"""Every component of this distribution keeps every promise of its interface: nothing is expected to fail."""

import pytest
from lmkit_bert.bert import Bert
from lmkit_bert.fill_mask import FillMask
from lmkit_bert.minimal_pairs import MinimalPairs
from lmkit_bert.mlm import MaskedLanguageModelling
from lmkit_bert.wordpiece import WordPiece

from lmkit.testing import TEXTS, Check, conformance

WORDPIECE = WordPiece.train(WordPiece.Config(vocab_size=400), TEXTS)
MASKED = [
    {"text": text.replace(word, "[MASK]"), "answer": word}
    for text, word in zip(TEXTS, ("man", "hill", "baker", "moon", "nine", "letter", "goats", "bell"), strict=True)
]


@pytest.mark.parametrize("check", conformance("lmkit_bert.plugin"))
def test_the_plugin_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(WordPiece, WordPiece.Config(vocab_size=400)))
def test_wordpiece_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(WordPiece, WordPiece.Config(vocab_size=400, lowercase=False)))
def test_wordpiece_with_capitals_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(Bert, Bert.Config(layers=2, width=32, heads=2)))
def test_bert_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(MaskedLanguageModelling))
def test_mlm_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check", conformance(MaskedLanguageModelling, MaskedLanguageModelling.Config(rate=0.4, final_rate=0.15))
)
def test_mlm_with_a_falling_rate_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(FillMask, tokenizer=WORDPIECE, rows=MASKED))
def test_fill_mask_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(FillMask, FillMask.Config(pieces=3), tokenizer=WORDPIECE, rows=MASKED))
def test_fill_mask_with_words_of_several_pieces_conforms(check: Check) -> None:
    check()


PAIRS = [{"sentence_good": text, "sentence_bad": " ".join(reversed(text.split()))} for text in TEXTS]


@pytest.mark.parametrize(
    "check", conformance(MinimalPairs, rows=PAIRS, right=lambda answer, _: answer["prefers"] == "good")
)
def test_minimal_pairs_conform(check: Check) -> None:
    check()


RENAMED = [{"right": pair["sentence_good"], "wrong": pair["sentence_bad"]} for pair in PAIRS]


@pytest.mark.parametrize(
    "check",
    conformance(
        MinimalPairs,
        MinimalPairs.Config(good_column="right", bad_column="wrong", longest=128, metric="loss"),
        tokenizer=WORDPIECE,
        rows=RENAMED,
    ),
)
def test_minimal_pairs_of_pieces_conform(check: Check) -> None:
    check()
