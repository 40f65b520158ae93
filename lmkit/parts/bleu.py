"""BLEU (Papineni et al. 2002) and chrF (Popovic 2015) in sums, by the library sacrebleu.

Counts of one text beside the gold one, and the score of many texts' sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

from lmkit.errors import FitError

ORDERS = 4
"""Of n-grams, from words to sequences of four."""


def require_sacrebleu() -> None:
    """Raise FitError where sacrebleu is not installed: to be told before anything is predicted."""
    _sacrebleu()


def bleu_counts(said: str, gold: str) -> dict[str, float]:
    """What BLEU counts of a text beside the gold one; the sums over texts are what `bleu` wants.

    Raises FitError where sacrebleu is not installed.
    """
    found = _sacrebleu()(effective_order=True).sentence_score(said, [gold])
    right = {f"bleu_right_{n}": float(count) for n, count in enumerate(found.counts, 1)}
    total = {f"bleu_total_{n}": float(count) for n, count in enumerate(found.totals, 1)}
    return {**right, **total, "bleu_said": float(found.sys_len), "bleu_gold": float(found.ref_len)}


def bleu(total: Mapping[str, float]) -> float:
    """BLEU of a corpus from the sums of `bleu_counts`, from 0 to 100, as sacrebleu's defaults have it."""
    score = _sacrebleu().compute_bleu(
        correct=[int(total[f"bleu_right_{n}"]) for n in range(1, ORDERS + 1)],
        total=[int(total[f"bleu_total_{n}"]) for n in range(1, ORDERS + 1)],
        sys_len=int(total["bleu_said"]),
        ref_len=int(total["bleu_gold"]),
        smooth_method="exp",
    )
    return float(score.score)


def chrf_counts(said: str, gold: str) -> dict[str, float]:
    """What chrF counts of a text beside the gold one: n-grams of characters said, gold, and in both, for each n.

    Raises FitError where sacrebleu is not installed.
    """
    [counts] = _chrf()._extract_corpus_statistics([said], [[gold]])
    return {f"chrf_{number}": float(count) for number, count in enumerate(counts)}


def chrf(total: Mapping[str, float]) -> float:
    """chrF of a corpus from the sums of `chrf_counts`, from 0 to 100, as sacrebleu's defaults have it."""
    count = sum(name.startswith("chrf_") for name in total)
    score = _chrf()._compute_score_from_stats([int(total[f"chrf_{number}"]) for number in range(count)])
    return float(score.score)


@cache
def _sacrebleu() -> Any:
    if find_spec("sacrebleu") is None:
        raise FitError("BLEU needs the library sacrebleu: pip install 'lmkit[bleu]'")
    from sacrebleu.metrics.bleu import BLEU

    return BLEU


@cache
def _chrf() -> Any:
    _sacrebleu()
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()
