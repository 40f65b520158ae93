"""Every component of this distribution keeps every promise of its interface: nothing is expected to fail."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from lmkit_vocabulary.recall import Recall
from lmkit_vocabulary.vocabulary import Vocabulary

from lmkit.batch import Example
from lmkit.testing import TEXTS, Check, conformance
from lmkit.testing.reference import ByteTokenizer

TOKENIZER = ByteTokenizer.train(ByteTokenizer.Config(), ())
TEXT_ROWS = [{"text": f"{' '.join(text.split()[:4]).capitalize()}."} for text in TEXTS[:5]]
WORD_ROWS = [{**row, "words": f"{row['text'].split()[1]}, sea"} for row in TEXT_ROWS]
OPENED = [{**row, "words": ["fox", "bell"], "opening": "The old"} for row in TEXT_ROWS]
SMALL: dict[str, Any] = {"beams": 1, "longest": 30}


def examples() -> list[Example]:
    made = []
    for number, text in enumerate(TEXTS):
        tokens = TOKENIZER.wrap(TOKENIZER.encode(text).ids[: 12 + number]).ids
        target = np.arange(len(tokens)) >= 3 + number % 4
        made.append(Example(tokens=tokens, lengths=(len(tokens),), target=target, key=(1, 0, number)))
    return made


def has_all_words(answer: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    forms = [(made["text"], form) for made in answer["sentences"] for form in made["words"].values()]
    return bool(answer["covered"]) and all(form in text for text, form in forms)


@pytest.mark.parametrize("check", conformance("lmkit_vocabulary.plugin"))
def test_the_plugin_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(Recall, examples=examples()))
def test_recall_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(Recall))
def test_recall_of_plain_blocks_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check",
    conformance(
        Vocabulary,
        Vocabulary.Config(**SMALL, sentences=1, propose=1),
        rows=TEXT_ROWS,
        right=has_all_words,
    ),
)
def test_sentences_with_proposed_words_conform(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check",
    conformance(
        Vocabulary, Vocabulary.Config(**SMALL, sentences=2, inflections=True), rows=WORD_ROWS, right=has_all_words
    ),
)
def test_sentences_with_given_words_conform(check: Check) -> None:
    check()


@pytest.mark.slow
@pytest.mark.parametrize(
    "check",
    conformance(Vocabulary, Vocabulary.Config(**SMALL, sentences=1, temperature=1.5, no_repeat=0, seed=3), rows=OPENED),
)
def test_sentences_with_an_opening_conform(check: Check) -> None:
    check()
