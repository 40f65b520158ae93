import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkit.interfaces import Vocabulary
from lmkit.parts.corruption import Corrupted, Masker, MaskingConfig, Unit

SPECIAL = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
VOCABULARY = Vocabulary(size=60, special=SPECIAL, word_starts=np.ones(60, bool))
MASK = SPECIAL["mask"]


def masker(masked: float = 0.8, random: float = 0.1) -> Masker:
    return Masker(VOCABULARY, MaskingConfig(masked=masked, random=random))


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


STARTS = np.ones(60, bool)
STARTS[30:] = False  # ids from 30 go on with a word
PIECES = Vocabulary(size=60, special=SPECIAL, word_starts=STARTS)


def of_words(unit: Unit, **config: float) -> Masker:
    return Masker(PIECES, MaskingConfig(unit=unit, **config))


@given(TOKENS, st.floats(0.01, 1), st.integers(0, 999), st.sampled_from(["word", "span"]))
def test_words_are_chosen_whole(tokens: np.ndarray, rate: float, key: int, unit: Unit) -> None:
    """All ordinary tokens of a word or none of them, and no more than k in all."""
    corrupted = corrupt(tokens, rate, key, by=of_words(unit))
    ordinary = np.flatnonzero(tokens > 4)
    count = min(len(ordinary), max(1, round(rate * len(ordinary))))
    assert len(corrupted.scored) <= count
    assert set(corrupted.scored) <= set(ordinary)
    assert (np.diff(corrupted.scored) > 0).all()
    assert corrupted.targets.tolist() == tokens[corrupted.scored].tolist()
    assert set(np.flatnonzero(corrupted.tokens != tokens)) <= set(corrupted.scored)
    words = PIECES.words(tokens)[ordinary]
    sizes = {word: int((words == word).sum()) for word in words}
    chosen = PIECES.words(tokens)[corrupted.scored].tolist()
    if sizes and min(sizes.values()) <= count:
        assert all(chosen.count(word) == sizes[word] for word in chosen)
        left = [size for word, size in sizes.items() if word not in chosen]
        assert not left or min(left) > count - len(corrupted.scored) or unit == "span"
    assert bool(count) == bool(len(corrupted.scored))


def test_a_word_longer_than_what_may_be_masked_is_masked_in_part() -> None:
    tokens = np.array([5, *[40] * 19])
    corrupted = corrupt(tokens, 0.15, 1, by=of_words("word"))
    assert corrupted.scored.tolist() == [0, 1, 2]


def test_spans_are_as_long_as_the_paper_has_them() -> None:
    """Joshi et al. 2020, section 3.1: lengths from Geo(0.2) up to 10 have a mean of 3.8 words; one fate for a span."""
    tokens = np.arange(5, 30).repeat(40)
    by = of_words("span", masked=0.5, random=0.5)
    lengths, fates = [], []
    for key in range(300):
        found = corrupt(tokens, 0.01, key, by=by)  # ten tokens of a thousand: spans seldom meet
        for span in np.split(found.scored, np.flatnonzero(np.diff(found.scored) > 1) + 1):
            lengths.append(len(span))
            fates.append((found.tokens[span] == MASK).mean())
    whole = [length for length in lengths if length < 10]
    assert np.mean(lengths) == pytest.approx(3.3, abs=0.4)  # the last one of a text is cut where the room ends
    assert len(whole) > 500
    assert np.mean([fate in (0.0, 1.0) for fate in fates]) > 0.95


@pytest.mark.parametrize("unit", ["word", "span"])
def test_a_span_never_goes_across_a_special_token(unit: Unit) -> None:
    tokens = np.array([5, 6, 3, 7, 8, 3, 9, 40, 41])
    for key in range(50):
        scored = corrupt(tokens, 0.5, key, by=of_words(unit)).scored
        assert not {2, 5} & set(scored)
        assert ({6, 7, 8} <= set(scored)) == bool({6, 7, 8} & set(scored))
