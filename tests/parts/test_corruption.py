import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkit.interfaces import Vocabulary
from lmkit.parts.corruption import Corrupted, Masker

SPECIAL = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
VOCABULARY = Vocabulary(size=60, special=SPECIAL, word_starts=np.ones(60, bool))
MASK = SPECIAL["mask"]


def masker(masked: float = 0.8, random: float = 0.1) -> Masker:
    return Masker(VOCABULARY, MASK, masked, random)


def corrupt(tokens: np.ndarray, rate: float, *key: int, by: Masker | None = None) -> Corrupted:
    return (by or masker()).corrupt(tokens, rate, np.random.default_rng(key))


TOKENS = st.lists(st.integers(0, 59), max_size=60).map(lambda ids: np.array(ids, np.uint16))


@given(TOKENS, st.floats(0.01, 1), st.integers(0, 999))
def test_exactly_k_ordinary_tokens_are_chosen_and_no_other_changes(tokens: np.ndarray, rate: float, key: int) -> None:
    corrupted = corrupt(tokens, rate, key)
    ordinary = int((tokens > 4).sum())
    assert len(corrupted.scored) == min(ordinary, max(1, round(rate * ordinary)))
    assert (np.diff(corrupted.scored) > 0).all()
    assert (tokens[corrupted.scored] > 4).all()
    assert corrupted.targets.tolist() == tokens[corrupted.scored].tolist()
    changed = np.flatnonzero(corrupted.tokens != tokens)
    assert set(changed) <= set(corrupted.scored)
    assert not {0, 1, 2, 3} & set(corrupted.tokens[corrupted.scored]), "only the mask is special and drawn"


@given(TOKENS, st.integers(0, 999))
def test_the_generator_alone_decides(tokens: np.ndarray, key: int) -> None:
    shared = masker()
    corrupt(np.arange(60), 0.5, 12345, by=shared)  # what was corrupted before leaves no trace
    one, again = corrupt(tokens, 0.3, key, by=shared), corrupt(tokens, 0.3, key)
    assert one.tokens.tolist() == again.tokens.tolist()
    assert one.scored.tolist() == again.scored.tolist()


def test_the_tokens_themselves_are_left_alone() -> None:
    tokens = np.arange(5, 60)
    tokens.flags.writeable = False
    corrupt(tokens, 0.9, 1)


@pytest.mark.parametrize(("masked", "random"), [(0.8, 0.1), (1.0, 0.0), (0.0, 1.0), (0.5, 0.2)])
def test_shares_of_masked_random_and_kept_are_as_asked(masked: float, random: float) -> None:
    """Over 20,000 choices; bounds of four standard deviations."""
    tokens = np.tile(np.arange(5, 60), 40)
    found = [corrupt(tokens, 0.5, n, by=masker(masked, random)) for n in range(18)]
    now = np.concatenate([c.tokens[c.scored] for c in found])
    then = np.concatenate([c.targets for c in found])
    total = len(now)
    assert total == 18 * 1100
    # A random token is now and then the one that stood there.
    wanted = {"masked": masked, "changed": random * 54 / 55, "kept": 1 - masked - random + random / 55}
    shares = {"masked": now == MASK, "changed": (now != then) & (now != MASK), "kept": now == then}
    for name, share in wanted.items():
        assert shares[name].mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / total) + 1e-12), name
    drawn = now[shares["changed"]]
    if len(drawn):
        assert set(drawn) == set(range(5, 60)), "every ordinary token is drawn"


def test_every_place_is_chosen_as_often() -> None:
    tokens = np.arange(10, 30)
    times = np.zeros(20)
    for n in range(4000):
        times[corrupt(tokens, 0.25, n).scored] += 1
    assert times == pytest.approx(1000, abs=4 * np.sqrt(4000 * 0.25 * 0.75))


def test_nothing_but_special_tokens_gives_nothing_to_predict() -> None:
    corrupted = corrupt(np.array([2, 1, 3, 0]), 0.5, 1)
    assert corrupted.tokens.tolist() == [2, 1, 3, 0]
    assert len(corrupted.scored) == len(corrupted.targets) == 0
