"""The classical rivals of the labelled sets are real ones."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.finetuning import overlap
from benchmarks.finetuning.baselines import Trigrams

KNOWN = overlap.Counts(weight={"deer": 3.0, "shot": 2.0}, frequent=frozenset({"the", "in", "at"}), length={"who": 2.0})


def row(question: str, context: str) -> overlap.Row:
    return {"question": question, "context": context}


def test_the_overlap_answers_with_what_stands_beside_the_questions_words() -> None:
    asked = row("Who shot the deer?", "In the wood Will Scarlet shot the deer at noon.")
    assert overlap.choose([asked], KNOWN, (1.0, 3.0, 0.0)) == ["Will Scarlet"]
    texts, faults = overlap.spans(asked, KNOWN)
    assert len(texts) == len(faults)
    assert not {"shot", "deer"} & set(" ".join(texts).split()), "no answer repeats the question"


def test_how_many_is_answered_by_a_number() -> None:
    asked = row("How many rode?", "Some of 60 foresters rode to Ely.")
    assert overlap.choose([asked], KNOWN, (1.0, 0.0, 5.0)) == ["60 foresters"]


def test_a_context_without_any_candidate_has_no_answer() -> None:
    assert overlap.choose([row("Deer?", "deer")], KNOWN, (0.0, 0.0, 0.0)) == [""]


def test_weights_are_those_that_are_best_on_the_validation_rows() -> None:
    train = [{**row("Who ran?", "The old man ran."), "answers": [{"text": "old man"}]}]
    seen: list[list[str]] = []

    def score(rows: object, answers: Sequence[overlap.Row]) -> float:
        seen.append([answer["answer"] for answer in answers])
        return -len(seen[-1][0])

    asked = [row("Who shot the deer?", "In the wood Will Scarlet shot the deer at noon.")]
    [chosen] = overlap.answers(train, asked, asked, score)
    assert len({tuple(some) for some in seen}) > 1
    assert len(chosen["answer"]) == min(len(some[0]) for some in seen)


def test_a_trigrams_probabilities_sum_to_one() -> None:
    model = Trigrams([["a", "bow", "of", "yew"], ["a", "bow", "bends"]])
    words = ["a", "bow", "of", "yew", "bends", "</s>", "a word that it has never seen"]
    for context in (["<s>", "<s>"], ["a", "bow"], ["never", "of"]):
        assert sum(model.probability(context, word) for word in words) == pytest.approx(1.0)
    assert model.likeliest(["<s>", "a"], "of", 1) == ["bow"]
