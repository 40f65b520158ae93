import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from lmkit_bert.bert import Bert, BertConfig
from lmkit_bert.fill_mask import FillMask, FillMaskConfig
from lmkit_bert.wordpiece import WordPiece

from lmkit.errors import DataError
from lmkit.interfaces import Tokenizer
from lmkit.parts.heads import VocabularyHead

TEXT = (
    "In merry England in the time of old, when good King Henry the Second ruled the land, there lived within the "
    "green glades of Sherwood Forest, near Nottingham Town, a famous outlaw whose name was Robin Hood. "
)


def opinionated(tokenizer: Tokenizer, **config: Any) -> Bert:
    """Untrained, but its answers differ from text to text."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder = Bert(BertConfig(layers=2, width=32, heads=2, **{"positions": 64} | config), tokenizer.vocabulary)
        with torch.no_grad():
            for weight in encoder.parameters():
                weight.mul_(8) if weight.ndim == 2 else weight
    return encoder


@pytest.fixture(scope="module")
def wordpiece() -> WordPiece:
    return WordPiece.train(WordPiece.Config(vocab_size=300), [TEXT * 3])


Fill = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def fill(wordpiece: WordPiece) -> Fill:
    encoder = opinionated(wordpiece)
    head = VocabularyHead(encoder)

    def filled(rows: Sequence[Any], batch_tokens: int = 2048, **config: Any) -> list[dict[str, Any]]:
        task = FillMask(FillMaskConfig(**config), wordpiece)
        asked = (task.row(row) if isinstance(row, str) else row for row in rows)
        return list(task.predict(encoder, head, asked, batch_tokens=batch_tokens))

    return filled


def likeliest(answer: dict[str, Any]) -> list[int]:
    return [mask[0]["ids"][0] for mask in answer["masks"]]


def assert_same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    assert [answer.get("text") for answer in one] == [answer.get("text") for answer in other]
    for left, right in zip(one, other, strict=True):
        for mine, yours in zip(left.get("masks", ()), right.get("masks", ()), strict=True):
            assert [c["probability"] for c in mine] == pytest.approx([c["probability"] for c in yours], abs=1e-5)


def test_words_are_named_with_their_probabilities_the_likeliest_first(fill: Fill, wordpiece: WordPiece) -> None:
    (answer,) = fill(["Robin drew his [MASK]."], top_k=295)
    (named,) = answer["masks"]
    probabilities = [choice["probability"] for choice in named]
    assert len(named) == wordpiece.vocabulary.size - 5, "special tokens are no words"
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=0.1)
    assert sum(probabilities) <= 1 + 1e-6
    assert all(wordpiece.decode(choice["ids"]) == choice["token"] for choice in named)
    assert len(fill(["a [MASK]"])[0]["masks"][0]) == 5


def test_a_special_token_is_never_named_however_likely(wordpiece: WordPiece) -> None:
    encoder = opinionated(wordpiece)
    head = VocabularyHead(encoder)
    with torch.no_grad():
        head.get_parameter("bias")[list(wordpiece.vocabulary.special.values())] = 5.0
    (answer,) = FillMask(FillMaskConfig(top_k=999), wordpiece).predict(
        encoder, head, [{"text": "the [MASK]"}], batch_tokens=99
    )
    named = [choice["ids"][0] for choice in answer["masks"][0]]
    assert sorted(named) == list(range(5, wordpiece.vocabulary.size))
    assert sum(choice["probability"] for choice in answer["masks"][0]) < 0.99


def test_each_mask_has_its_own_words(fill: Fill) -> None:
    (answer,) = fill(["[MASK] drew [MASK] and [MASK]."])
    assert len(answer["masks"]) == 3
    assert len({mask[0]["probability"] for mask in answer["masks"]}) == 3
    assert "[MASK]" not in answer["text"]
    assert "drew" in answer["text"]


@pytest.mark.parametrize("batch_tokens", [1, 40, 300])
def test_batches_change_no_answer(fill: Fill, batch_tokens: int) -> None:
    texts = [
        "Robin drew his [MASK].",
        "[MASK]",
        TEXT[:150] + "[MASK]",
        "the [MASK] of [MASK]",
        "no mask",
        TEXT * 3 + "[MASK]",
    ]
    assert_same(fill(texts), fill(texts, batch_tokens=batch_tokens))
    assert_same(fill(texts), fill(texts[::-1], batch_tokens=batch_tokens)[::-1])


def test_a_long_text_is_read_around_each_of_its_masks(fill: Fill, wordpiece: WordPiece) -> None:
    far = "good king henry " * 40
    (answer,) = fill([f"{far}the land [MASK] the time {far} old, [MASK] good {far}"])
    assert len(answer["masks"]) == 2
    assert answer["text"].startswith(far + "the land")
    around = "good king henry " * 20
    near = fill([f"{around}the land [MASK] the time {around}", f"{around} old, [MASK] good {around}"])
    assert likeliest(answer) == [*likeliest(near[0]), *likeliest(near[1])]


@pytest.mark.parametrize(("words", "masks"), [(1, 1), (1000, 3), (0, 700), (62, 1), (61, 1), (63, 1)])
def test_every_mask_is_in_one_window_that_the_model_can_read(wordpiece: WordPiece, words: int, masks: int) -> None:
    task = FillMask(FillMaskConfig(), wordpiece)
    text = task._read((("the " * words) + "[MASK] ") * masks)
    windows = list(task._windows(text, 64))
    assert sum(len(window.places) for window in windows) == masks
    for window in windows:
        assert len(window.tokens) <= 64
        assert (window.tokens[window.places] == wordpiece.vocabulary.special["mask"]).all()
        assert (np.diff(window.places) > 0).all()
        assert (window.tokens[0], window.tokens[-1]) == (2, 3)
    assert len(windows) <= max(masks / 10, 3)


def test_a_row_that_cannot_be_filled_says_so_in_its_place(fill: Fill) -> None:
    answers = fill(["a [MASK]", "no mask", "", {"title": "x"}, {"text": None}, "\udc00 [MASK]", "b [MASK]"])
    assert [answer.get("error") for answer in answers] == [
        None,
        'column "text": no mask in the text; write [MASK] where a word is missing',
        'column "text": no mask in the text; write [MASK] where a word is missing',
        'no column "text"; the row has "title"',
        'column "text": wanted text, got NoneType None',
        'column "text": character 1 is a lone surrogate (U+DC00), no valid Unicode',
        None,
    ]


def test_rows_are_read_as_they_are_answered(wordpiece: WordPiece) -> None:
    def endless() -> Iterator[dict[str, str]]:
        while True:
            yield {"text": "the [MASK]"}

    encoder = opinionated(wordpiece)
    task = FillMask(FillMaskConfig(), wordpiece)
    answers = task.predict(encoder, VocabularyHead(encoder), endless(), batch_tokens=30)
    assert all(next(answers)["masks"] for _ in range(9))


def test_naughty_texts_are_filled_in_any_batch(fill: Fill, naughty_strings: list[str]) -> None:
    texts = [f"{text} [MASK] {text}" for text in naughty_strings]
    answers = fill(texts)
    assert all(len(answer["masks"]) == 1 for answer in answers)
    assert_same(answers, fill(texts, batch_tokens=1))
    assert all("error" in answer for answer in fill(naughty_strings))


@pytest.mark.data
def test_no_naughty_string_and_no_length_breaks_it(fill: Fill, data_folder: Path) -> None:
    texts = json.loads((data_folder / "hard_inputs/blns.json").read_text(encoding="utf-8"))
    long = "word " * 100_000
    longest = [f"{long}[MASK]{long}", f"[MASK]{long}", long, "[MASK]" * 2000]
    answers = fill([*(text + "[MASK]" for text in texts), *longest])
    assert len(answers) == len(texts) + 4
    assert [len(answer.get("masks", ())) for answer in answers] == [1] * (len(texts) + 2) + [0, 2000]


def test_a_text_to_learn_from_becomes_examples_of_the_longest_length(wordpiece: WordPiece) -> None:
    task = FillMask(FillMaskConfig(longest=20), wordpiece)
    examples = list(task.examples({"text": TEXT}))
    assert [len(e.tokens) for e in examples[:-1]] == [20] * (len(examples) - 1)
    assert np.concatenate([e.tokens[1:-1] for e in examples]).tolist() == wordpiece.encode(TEXT).ids.tolist()
    assert task.build_objective(()).collate(examples, progress=0.0).counts["mlm"] > 0
    with pytest.raises(DataError) as raised:
        list(task.examples({"text": " "}))
    assert str(raised.value) == 'column "text": the text is empty'


def test_right_words_are_counted_first_and_among_those_named(wordpiece: WordPiece) -> None:
    task = FillMask(FillMaskConfig(top_k=2), wordpiece)

    def named(*words: str) -> list[dict[str, Any]]:
        return [{"token": word} for word in words]

    prediction = {"masks": [named("the", "land"), named("king", "old")]}
    tally = task.tally(prediction, {"answer": ["Land", "king"]})
    assert tally == {"masks": 2, "first": 1, "named": 2}
    assert task.tally({"masks": [named("the", "land")]}, {"answer": "THE"}) == {"masks": 1, "first": 1, "named": 1}
    assert task.tally({"masks": [named("the")]}, {"answer": "zebra"}) == {"masks": 1, "first": 0, "named": 0}
    assert task.tally({"error": "no"}, {"answer": ["a", "b"]}) == {"masks": 2, "first": 0, "named": 0}
    assert task.tally(prediction, {}) == {}
    assert task.tally(prediction, {"answer": ""}) == {}
    with pytest.raises(DataError, match="wanted a word for each of 2 masks, got 1"):
        task.tally(prediction, {"answer": "land"})
    with pytest.raises(DataError) as raised:
        task.tally(prediction, {"answer": [3]})
    assert str(raised.value) == 'column "answer": wanted a word or a list of words, got [3]'
    assert task.score({"masks": 4.0, "first": 1.0, "named": 2.0}) == {"accuracy": 0.25, "accuracy_at_2": 0.5}
    assert task.score({}) == {}


def test_training_on_a_text_makes_the_model_fill_it(wordpiece: WordPiece) -> None:
    """Learn one sentence by heart, then fill its words one by one."""
    task = FillMask(FillMaskConfig(), wordpiece)
    encoder = opinionated(wordpiece, positions=128)
    objective = task.build_objective(())
    head = objective.build_head(encoder)
    examples = list(task.examples({"text": TEXT}))
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=3e-3)

    for step in range(90):
        batch = objective.collate([attrs.evolve(e, key=(step, n)) for n, e in enumerate(examples * 4)], progress=0.0)
        optimizer.zero_grad()
        (objective.loss(encoder, head, batch)["mlm"] / batch.counts["mlm"]).backward()
        optimizer.step()
    rows = [{"text": TEXT.replace(word, "[MASK]"), "answer": word} for word in ("merry", "green", "famous")]
    answers = list(task.predict(encoder, head, rows, batch_tokens=512))
    totals = [task.tally(answer, row) for answer, row in zip(answers, rows, strict=True)]
    assert sum(tally["first"] for tally in totals) == 3
