"""Every component of this distribution keeps every promise of its interface: nothing is expected to fail."""

import attrs
import pytest
from lmkit_finetune.classification import Classification
from lmkit_finetune.classify import Classify

from lmkit.batch import Example
from lmkit.testing import TEXTS, Check, conformance
from lmkit.testing.reference import ByteTokenizer

LABELS = ("animal", "place", "thing")
TOKENIZER = ByteTokenizer.train(ByteTokenizer.Config(), ())


def examples(target: object) -> list[Example]:
    made = []
    for number, text in enumerate(TEXTS):
        tokens = TOKENIZER.wrap(TOKENIZER.encode(text).ids[: 9 + number]).ids
        chosen = target(number) if callable(target) else target
        made.append(Example(tokens=tokens, lengths=(len(tokens),), target=chosen, key=(1, 0, number)))
    return made


def one(number: int) -> str:
    return LABELS[number % 3]


def some(number: int) -> tuple[str, ...]:
    return LABELS[: number % 4]


@pytest.mark.parametrize("check", conformance("lmkit_finetune.plugin"))
def test_the_plugin_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check", conformance(Classify, Classify.Config(labels=LABELS, dropout=0.0), examples=examples(one))
)
def test_classify_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check",
    conformance(
        Classify,
        Classify.Config(labels=LABELS, dropout=0.0, several=True, pooling="mean", class_weights={"place": 2.0}),
        examples=examples(some),
    ),
)
def test_classify_of_several_conforms(check: Check) -> None:
    check()


ROWS = [{"text": text, "label": one(number)} for number, text in enumerate(TEXTS)]
PAIRS = [{"text": text, "other": text[::-1], "label": list(some(number))} for number, text in enumerate(TEXTS)]
CONFIG = Classification.Config(dropout=0.0)
SEVERAL = attrs.evolve(CONFIG, pair_column="other", several=True, pooling="mean", attention="causal")


@pytest.mark.parametrize(
    "check", conformance(Classification, CONFIG, rows=ROWS, right=lambda answer, row: answer["label"] == row["label"])
)
def test_classification_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check",
    conformance(Classification, SEVERAL, rows=PAIRS, right=lambda answer, row: answer["labels"] == row["label"]),
)
def test_classification_of_pairs_into_several_conforms(check: Check) -> None:
    check()
