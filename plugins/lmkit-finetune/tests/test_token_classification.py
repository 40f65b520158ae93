"""Task "token-classification" and objective "tag" keep every promise; and what the task reads, answers and counts."""

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from lmkit_finetune.tag import Tag, TagHead
from lmkit_finetune.token_classification import TokenClassification
from seqeval.metrics import f1_score, precision_score, recall_score

from lmkit.batch import Example
from lmkit.errors import DataError, FitError
from lmkit.testing import TEXTS, Check, conformance
from lmkit.testing.reference import ByteTokenizer, ReferenceEncoder

BYTES = ByteTokenizer.train(ByteTokenizer.Config(), ())
CONFIG = TokenClassification.Config(dropout=0.0)
LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def tags_of(words: list[str]) -> list[str]:
    """By place: the reference tokenizer's first piece of a word is its space, which tells one word from no other."""
    return (["B-PER", "I-PER", "O", "B-LOC"] + ["O"] * len(words))[: len(words)]


ROWS = [{"tokens": text.split(), "tags": tags_of(text.split())} for text in TEXTS]
TEXT_ROWS = [{"tokens": text, "tags": tags_of(text.split())} for text in TEXTS if text.replace(" ", "").isalpha()]
POS_ROWS = [{"words": row["tokens"], "pos": [f"P{len(word) % 4}" for word in row["tokens"]]} for row in ROWS]


def right(answer: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return bool(answer["tags"] == row["tags"])


@pytest.mark.parametrize("check", conformance(TokenClassification, CONFIG, rows=ROWS, right=right))
def test_entities_of_words_conform(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check", conformance(TokenClassification, attrs.evolve(CONFIG, longest=24), rows=TEXT_ROWS, right=right)
)
def test_entities_of_texts_in_windows_conform(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check",
    conformance(
        TokenClassification,
        attrs.evolve(CONFIG, column="words", tags_column="pos", entities=False, attention="causal"),
        rows=POS_ROWS,
        right=lambda answer, row: answer["tags"] == row["pos"] and not answer["entities"],
    ),
)
def test_parts_of_speech_with_causal_attention_conform(check: Check) -> None:
    check()


def examples() -> list[Example]:
    made = []
    for number, text in enumerate(TEXTS):
        tokens = BYTES.wrap(BYTES.encode(text).ids[: 9 + number]).ids
        target = tuple(LABELS[place % 5] if place % 3 == 1 else None for place in range(len(tokens)))
        made.append(Example(tokens=tokens, lengths=(len(tokens),), target=target, key=(1, 0, number)))
    return made


@pytest.mark.parametrize("check", conformance(Tag, Tag.Config(labels=LABELS, dropout=0.0), examples=examples()))
def test_tag_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check",
    conformance(
        Tag, Tag.Config(labels=LABELS, dropout=0.0, class_weights={"O": 0.5}, attention="causal"), examples=examples()
    ),
)
def test_tag_with_weights_and_causal_attention_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, "wanted a tag, or None, for each of its tokens, got None"),
        (("O", "O"), r"wanted a tag, or None, for each of its tokens, got \('O', 'O'\)"),
        (("O", "I-ORG", None), "tag 'I-ORG' is not among O, B-PER, I-PER, B-LOC, I-LOC"),
    ],
)
def test_a_target_that_does_not_fit_is_told(target: Any, message: str) -> None:
    example = Example(tokens=np.array([7, 8, 9]), lengths=(3,), target=target)
    with pytest.raises(DataError, match=message):
        Tag(Tag.Config(labels=LABELS), BYTES.vocabulary).collate([example], progress=None)


def answers(task: TokenClassification, rows: list[Any], labels: tuple[str, ...] = LABELS) -> list[Any]:
    """Of a model with fresh weights."""
    torch.manual_seed(1)
    encoder = ReferenceEncoder(ReferenceEncoder.Config(), BYTES.vocabulary)
    return list(task.predict(encoder, TagHead(encoder, Tag.Config(labels=labels)), rows, batch_tokens=512))


def test_every_word_of_a_long_sentence_gets_a_tag() -> None:
    words = ["word"] * 300 + ["x" * 1000, ""] + ["word"] * 300
    task = TokenClassification(attrs.evolve(CONFIG, longest=32), BYTES)
    [answer] = answers(task, [{"tokens": words}])
    assert answer["tokens"] == words
    assert len(answer["tags"]) == len(words)
    made = list(task.examples({"tokens": words, "tags": ["O"] * len(words)}))
    assert max(len(example.tokens) for example in made) <= 32
    assert sum(tag is not None for example in made for tag in example.target) == len(words)


def test_a_word_without_a_token_is_outside_whatever_surrounds_it() -> None:
    """The reference tokenizer has none for an empty first word."""
    task = TokenClassification(CONFIG, BYTES)
    assert answers(task, [{"tokens": [""]}, {"tokens": []}]) == [
        {"tokens": [""], "tags": ["O"], "entities": []},
        {"tokens": [], "tags": [], "entities": []},
    ]
    assert answers(task, [{"tokens": ["", "a"]}], ("B-PER", "O"))[0]["tags"][0] == "O"
    [example] = task.examples({"tokens": ["", "a"], "tags": ["B-PER", "I-PER"]})
    assert example.target == (None, "I-PER", None, None)  # [CLS], the space, a, [SEP]
    with pytest.raises(DataError, match='column "tokens": no word of it has a token'):
        list(task.examples({"tokens": [""], "tags": ["O"]}))


def test_the_first_piece_is_tagged_and_the_last_where_the_first_has_not_seen_the_word() -> None:
    row = {"tokens": ["old", "man"], "tags": ["O", "B-PER"]}
    [example] = TokenClassification(CONFIG, BYTES).examples(row)
    assert example.target == (None, "O", None, None, "B-PER", None, None, None, None)
    [example] = TokenClassification(attrs.evolve(CONFIG, attention="causal"), BYTES).examples(row)
    assert example.target == (None, None, None, "O", None, None, None, "B-PER", None)


def test_entities_of_a_text_say_where_they_stand() -> None:
    text = "  Ann-Lee,  naïve 漢字!"
    task = TokenClassification(CONFIG, BYTES)
    [of_text] = answers(task, [task.row(text)], ("B-PER", "I-PER"))
    assert of_text["tokens"] == ["Ann", "-", "Lee", ",", "naïve", "漢字", "!"]
    assert of_text["entities"]
    for entity in of_text["entities"]:
        assert text[entity["start_char"] : entity["end_char"]] == entity["text"]
        assert entity["text"].startswith(of_text["tokens"][entity["start"]])
        assert entity["text"].endswith(of_text["tokens"][entity["end"] - 1])
        assert 0 < entity["probability"] < 1
    [of_words] = answers(task, [{"tokens": of_text["tokens"]}], ("B-PER", "I-PER"))
    assert of_words["tags"] == of_text["tags"]
    assert of_words["entities"][0].keys() == {"type", "start", "end", "probability", "text"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"tags": ["O", "X-", "O"]},
            'column "tags", word 2: wanted O, or one of B- I- E- S- L- U- and a type, got "X-"',
        ),
        ({"tags": ["B-PER", "Q-PER", "O"]}, 'column "tags", word 2: wanted O, .* got "Q-PER"'),
        ({"tags": ["O", "O", "B-"]}, 'column "tags", word 3: wanted O, .* got "B-"'),
        ({"tags": ["O", "O", 3]}, 'column "tags", word 3: wanted the name of a tag, got 3'),
        ({"tags": ["O", "O"]}, 'column "tags": wanted 3 tags, as many as words in "tokens", got 2'),
        ({"tags": "O O O"}, 'column "tags": wanted a list of tags, one a word, got .O O O.'),
        ({"tags": ["O", "B-ORG", "O"]}, 'column "tags", word 2: "ORG" is not among PER, LOC'),
        ({"tokens": ["a", "b", None]}, 'column "tokens", word 3: wanted text, got NoneType None'),
        ({"tokens": ["a", "\ud83d", "c"]}, 'column "tokens", word 2: half of a surrogate pair'),
        ({"tokens": 7}, 'column "tokens": wanted a list of words, or a text, got int 7'),
    ],
)
def test_a_bad_row_is_told(change: dict[str, Any], message: str) -> None:
    task = TokenClassification(attrs.evolve(CONFIG, labels=("PER", "LOC")), BYTES)
    row = {"tokens": ["a", "b", "c"], "tags": ["O", "O", "O"]} | change
    with pytest.raises(DataError, match=message):
        task.labels(row)
    with pytest.raises(DataError, match='no column "tags"; the row has "tokens"'):
        list(task.examples({"tokens": ["a"]}))


def test_a_head_of_other_tags_makes_no_entities() -> None:
    with pytest.raises(FitError, match='labels are no tags of entities, such as "NN": set entities = false'):
        answers(TokenClassification(CONFIG, BYTES), [{"tokens": ["a"]}], ("NN", "O"))
    plain = TokenClassification(attrs.evolve(CONFIG, entities=False), BYTES)
    assert answers(plain, [{"tokens": ["a"]}], ("NN", "DET"))[0]["entities"] == []


def test_labels_of_entities_are_both_tags_of_each_type() -> None:
    task = TokenClassification(CONFIG, BYTES)
    assert task.labels({"tokens": ["a", "b", "c"], "tags": ["I-PER", "I-PER", "S-LOC"]}) == ["B-PER", "I-PER", "B-LOC"]
    assert task.all_labels(["B-LOC", "I-PER", "O"]) == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert task.all_labels(task.all_labels(["B-LOC"])) == task.all_labels(["B-LOC"])
    given = TokenClassification(attrs.evolve(CONFIG, labels=("X", "A")), BYTES)
    assert given.all_labels(["O"]) == ("O", "B-X", "I-X", "B-A", "I-A")
    plain = TokenClassification(attrs.evolve(CONFIG, entities=False), BYTES)
    assert plain.all_labels(["DET", "NN-HL"]) == ["DET", "NN-HL"]
    assert (task.metric, plain.metric) == ("f1", "accuracy")
    with pytest.raises(ValueError, match="labels: expected types of entities, such as PER, got the tags O, B-PER"):
        TokenClassification.Config(labels=("O", "B-PER", "LOC"))
    with pytest.raises(ValueError, match='metric: "f1" is that of entities, and entities is off'):
        TokenClassification.Config(entities=False, metric="f1")


def test_scores_are_those_of_seqeval() -> None:
    rng = np.random.default_rng(1)
    tags = ["O", "I-PER", "B-PER", "I-LOC", "B-LOC", "E-LOC", "S-PER"]
    task = TokenClassification(CONFIG, BYTES)
    gold = [[tags[n] for n in rng.integers(0, len(tags), 12)] for _ in range(20)]
    said = [[tag if rng.random() < 0.7 else "O" for tag in row] for row in gold]
    total: dict[str, float] = {}
    for row, other in zip(gold, said, strict=True):
        words = ["w"] * len(row)
        prediction = {"tags": task.labels({"tokens": words, "tags": other})}
        for name, value in task.tally(prediction, {"tokens": words, "tags": row}).items():
            total[name] = total.get(name, 0.0) + value
    found = task.score(total)
    assert found["f1"] == pytest.approx(f1_score(gold, said))
    assert found["precision"] == pytest.approx(precision_score(gold, said))
    assert found["recall"] == pytest.approx(recall_score(gold, said))
    assert [found["f1 LOC"], found["f1 PER"]] == pytest.approx(f1_score(gold, said, average=None).tolist())
    assert task.tally({"tags": ["O"]}, {"tokens": ["w"]}) == {}
