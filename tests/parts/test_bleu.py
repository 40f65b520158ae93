"""BLEU and chrF from sums of counts are what sacrebleu makes of the whole corpus."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF

from lmkit.errors import FitError
from lmkit.parts import bleu as module
from lmkit.parts.bleu import bleu, bleu_counts, chrf, chrf_counts
from lmkit.registry import Registry

TEXTS = st.lists(st.sampled_from(["the", "bow", "of", "yew", "bends.", "Robin", "café", "—"]), max_size=9).map(" ".join)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6))
def test_sums_give_the_score_of_the_corpus(pairs: list[tuple[str, str]]) -> None:
    total: Counter[str] = Counter()
    for said, gold in pairs:
        total.update(bleu_counts(said, gold))
        total.update(chrf_counts(said, gold))
    corpus = [said for said, _ in pairs], [[gold for _, gold in pairs]]
    assert bleu(total) == pytest.approx(BLEU().corpus_score(*corpus).score)
    assert chrf(total) == pytest.approx(CHRF().corpus_score(*corpus).score)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    module._sacrebleu.cache_clear()
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(FitError, match=r"pip install 'lmkit\[bleu\]'"):
        bleu_counts("a", "a")


@pytest.mark.parametrize(
    ("task", "options"),
    [("translation", {"metric": "chrf"}), ("translation", {"bleu": True}), ("completion", {"bleu": True})],
)
def test_a_task_that_scores_by_it_says_so_before_it_predicts(
    task: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry()
    tokenizer_class = registry.find("tokenizer", "bytes").load()
    tokenizer = tokenizer_class.train(tokenizer_class.Config(), [])
    cls = registry.find("task", task).load()
    assert cls(cls.Config(**options), tokenizer)
    module._sacrebleu.cache_clear()
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(FitError, match=r"pip install 'lmkit\[bleu\]'"):
        cls(cls.Config(**options), tokenizer)
