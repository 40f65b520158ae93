"""Entities are read from tags as seqeval reads them, and the best path is the best of all valid ones."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lmkit_finetune.entities import Span, best_path, bio, bio_labels, may_follow, spans_of, split_tag
from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities

SCHEMES = {"IOB1": "IB", "BIO": "BI", "BIOES": "BIES", "BILOU": "BILU"}
AS_BIOES = str.maketrans("LU", "ES")


def tags(prefixes: str) -> st.SearchStrategy[list[str]]:
    """Tags in any order, valid or not."""
    known = ["O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in ("PER", "creative-work"))]
    return st.lists(st.sampled_from(known), max_size=12)


def theirs(found: list[str]) -> list[Span]:
    """The entities that seqeval finds; it knows no BILOU by default, which is BIOES under other letters."""
    bioes = [tag[0].translate(AS_BIOES) + tag[1:] for tag in found]
    return [Span(start, end + 1, kind) for kind, start, end in get_entities(bioes)]


@pytest.mark.parametrize("scheme", SCHEMES)
@given(data=st.data())
def test_entities_are_those_of_seqeval(scheme: str, data: st.DataObject) -> None:
    found = data.draw(tags(SCHEMES[scheme]))
    assert spans_of(found) == theirs(found)


@pytest.mark.parametrize("scheme", ["IOB1", "BIO", "BIOES"])
@given(data=st.data())
def test_f1_is_that_of_seqeval(scheme: str, data: st.DataObject) -> None:
    gold = data.draw(tags(SCHEMES[scheme]).filter(lambda some: any(tag != "O" for tag in some)))
    said = data.draw(st.permutations(gold))
    wanted, given_ = set(spans_of(gold)), set(spans_of(said))
    f1 = 2 * len(wanted & given_) / (len(wanted) + len(given_))
    assert f1 == pytest.approx(f1_score([gold], [said]))


@given(tags("BIESLU"))
def test_bio_keeps_the_entities(found: list[str]) -> None:
    written = bio(spans_of(found), len(found))
    assert len(written) == len(found)
    assert spans_of(written) == spans_of(found)
    assert bio(spans_of(written), len(written)) == written


def test_each_scheme_gives_the_same_entities() -> None:
    """Two neighbours of a type, one of another, and one of a single word."""
    wanted = [Span(0, 2, "A"), Span(2, 5, "A"), Span(5, 6, "B"), Span(7, 8, "A")]
    for written in (
        "I-A I-A B-A I-A I-A I-B O I-A",
        "B-A I-A B-A I-A I-A B-B O B-A",
        "B-A E-A B-A I-A E-A S-B O S-A",
        "B-A L-A B-A I-A L-A U-B O U-A",
    ):
        assert spans_of(written.split()) == wanted


@pytest.mark.parametrize("tag", ["", "B", "B-", "-PER", "Q-PER", "b-PER", "BI-PER", "B_PER", "PER", "o", "0"])
def test_a_malformed_tag_is_told(tag: str) -> None:
    with pytest.raises(ValueError, match=f'wanted O, or one of B- I- E- S- L- U- and a type, got "{tag}"'):
        split_tag(tag)


def is_valid(found: list[str]) -> bool:
    """Whether each I- goes on with an entity of its type."""
    return all(not tag.startswith("I-") or before[2:] == tag[2:] for before, tag in itertools.pairwise(["O", *found]))


@given(st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_the_best_path_is_the_best_of_all_valid_ones(words: int, seed: int) -> None:
    labels = bio_labels(("A", "B"))
    scores = np.random.default_rng(seed).normal(size=(words, len(labels)))
    path = best_path(scores, may_follow(labels))
    ways = [way for way in itertools.product(range(len(labels)), repeat=words) if is_valid([labels[n] for n in way])]
    best = max(ways, key=lambda way: sum(scores[place, n] for place, n in enumerate(way)))
    assert tuple(path.tolist()) == best


def test_where_all_may_follow_the_path_takes_each_words_best() -> None:
    scores = np.random.default_rng(1).normal(size=(50, 7))
    assert (best_path(scores, np.ones((8, 7), bool)) == best_path(scores, None)).all()
    assert (best_path(scores, None) == scores.argmax(1)).all()


@pytest.mark.data
@pytest.mark.parametrize("name", ["ner_wikigold/wikigold.conll.txt", "ner_wnut17/emerging.dev.conll"])
def test_real_tags_are_read_as_seqeval_reads_them(data_folder: Path, name: str) -> None:
    """WikiGold's have I- only, those of WNUT 2017 are BIO."""
    lines = (data_folder / name).read_text(encoding="utf-8").splitlines()
    runs = itertools.groupby(lines, lambda line: bool(line.strip()))
    sentences = [[line.split()[-1] for line in run] for full, run in runs if full]
    assert len(sentences) > 900
    for tags_ in sentences:
        assert spans_of(tags_) == theirs(tags_)
    assert sum(len(spans_of(tags_)) for tags_ in sentences) > 800
