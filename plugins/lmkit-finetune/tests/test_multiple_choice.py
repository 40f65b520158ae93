"""Multiple choice: by a trained head over any number of endings, and by the likelihoods of language models."""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from lmkit_finetune.choice import Choice
from lmkit_finetune.multiple_choice import MultipleChoice

from lmkit.batch import Example
from lmkit.errors import DataError, FitError
from lmkit.interfaces import Objective
from lmkit.parts.scoring import log_likelihoods, pseudo_log_likelihoods
from lmkit.testing import TEXTS, Check, conformance
from lmkit.testing.reference import ByteTokenizer, Continuing, Denoising, ReferenceEncoder

TOKENIZER = ByteTokenizer.train(ByteTokenizer.Config(), ())
BARE = ByteTokenizer(ByteTokenizer.Config(roles=("pad", "mask")))
"""A tokenizer that puts nothing around a text."""
LIST = [
    {"prompt": text[:2], "endings": [TEXTS[n - k][14 : 17 + k] for k in range(2 + n % 3)], "label": n % 2}
    for n, text in enumerate(TEXTS)
]
TABLE = [
    {"context": row["prompt"], "a": row["endings"][0], "b": row["endings"][1], "gold": row["endings"][row["label"]]}
    for row in LIST
]
COLUMNS = {"column": "context", "ending_columns": ("a", "b"), "label_column": "gold"}


def examples() -> list[Example]:
    task = MultipleChoice(MultipleChoice.Config(), TOKENIZER)
    made = [example for row in LIST for example in task.examples(row)]
    return [Example(tokens=e.tokens, lengths=e.lengths, segments=e.segments, target=e.target, key=(1, 0, n))
            for n, e in enumerate(made)]  # fmt: skip


@pytest.mark.parametrize("check", conformance(Choice, Choice.Config(dropout=0.0, pooling="mean"), examples=examples()))
def test_choice_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check",
    conformance(Choice, Choice.Config(dropout=0.0, attention="causal"), examples=examples()),
)
def test_choice_from_left_to_right_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check",
    conformance(
        MultipleChoice,
        MultipleChoice.Config(dropout=0.0),
        rows=LIST,
        right=lambda answer, row: answer["choice"] == row["label"],
    ),
)
def test_multiple_choice_of_lists_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check",
    conformance(
        MultipleChoice,
        MultipleChoice.Config(dropout=0.0, pooling="mean", attention="causal", **COLUMNS),
        rows=TABLE,
        right=lambda answer, row: answer["ending"] == row["gold"],
    ),
)
def test_multiple_choice_of_columns_conforms(check: Check) -> None:
    check()


def language_model(objective: type[Objective[Any]], tokenizer: ByteTokenizer) -> tuple[Any, Any]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        encoder = ReferenceEncoder(ReferenceEncoder.Config(), tokenizer.vocabulary)
        head = objective(objective.Config(), tokenizer.vocabulary).build_head(encoder)
        for weight in head.parameters():
            torch.nn.init.normal_(weight, std=0.5)
    return encoder.eval(), head.eval()


@pytest.mark.parametrize("normalize", ["none", "tokens", "bytes"])
@pytest.mark.parametrize(("objective", "scored"), [(Continuing, log_likelihoods), (Denoising, pseudo_log_likelihoods)])
def test_a_language_model_chooses_the_likeliest_ending(
    objective: type[Objective[Any]],
    scored: Callable[..., list[float]],
    normalize: Literal["none", "tokens", "bytes"],
) -> None:
    encoder, head = language_model(objective, TOKENIZER)
    task = MultipleChoice(MultipleChoice.Config(normalize=normalize), TOKENIZER)
    row = {"prompt": "The old man", "endings": ["walked on.", "é", " sat"]}
    [answer] = task.predict(encoder, head, [row], batch_tokens=512)
    sums, sizes = [], []
    for ending in ("walked on.", "é", "sat"):
        ids = TOKENIZER.wrap(TOKENIZER.encode(f"The old man {ending}").ids).ids
        counted = np.zeros(len(ids), bool)
        counted[12:-1] = True  # after [CLS] and eleven letters, before [SEP]: the space is the ending's
        sums += scored(encoder, head, TOKENIZER.vocabulary, [ids], [counted], batch_tokens=64)
        sizes.append({"none": 1, "tokens": int(counted.sum()), "bytes": int(counted.sum()) - 1}[normalize])
    sizes[2] += normalize == "bytes"  # this one came with its space
    scores = np.array(sums) / sizes
    expected = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    assert answer["probabilities"] == pytest.approx(expected.tolist(), abs=1e-5)
    assert answer["choice"] == int(scores.argmax())
    assert answer["ending"] == row["endings"][answer["choice"]]


@pytest.mark.parametrize("objective", [Continuing, Denoising])
def test_a_language_model_answers_alike_in_any_company(objective: type[Objective[Any]]) -> None:
    encoder, head = language_model(objective, TOKENIZER)
    task = MultipleChoice(MultipleChoice.Config(), TOKENIZER)
    rows: list[Any] = [*LIST, {"prompt": "no endings"}]
    answers = list(task.predict(encoder, head, rows, batch_tokens=4096))
    assert answers[-1] == {"error": 'no column "endings"; the row has "prompt"'}
    for batch_tokens in (1, 120):
        others = list(task.predict(encoder, head, rows, batch_tokens=batch_tokens))
        for one, other in zip(answers[:-1], others[:-1], strict=True):
            assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
            assert one["choice"] == other["choice"]


def test_a_long_text_loses_its_beginning_and_no_ending() -> None:
    encoder, head = language_model(Continuing, BARE)
    task = MultipleChoice(MultipleChoice.Config(longest=24), BARE)
    endings = ["to the sea", "home"]
    [long] = task.predict(encoder, head, [{"prompt": "x" * 300 + "so he went", "endings": endings}], batch_tokens=64)
    [other] = task.predict(encoder, head, [{"prompt": "y" * 300 + "so he went", "endings": endings}], batch_tokens=64)
    assert long["choice"] == other["choice"]
    assert math.isclose(sum(long["probabilities"]), 1)


def test_bytes_are_those_of_the_tokens_that_count() -> None:
    encoder, head = language_model(Continuing, BARE)
    task = MultipleChoice(MultipleChoice.Config(longest=24, normalize="bytes"), BARE)
    row = {"prompt": "so he went", "endings": [" to the sea and then " + "on " * 90, " home"]}
    [answer] = task.predict(encoder, head, [row], batch_tokens=64)
    short = MultipleChoice(MultipleChoice.Config(longest=24, normalize="tokens"), BARE)  # a token is a byte here
    [same] = short.predict(encoder, head, [row], batch_tokens=64)
    assert answer["probabilities"] == pytest.approx(same["probabilities"])


def test_many_endings_are_read_in_rows_no_longer_than_the_longest() -> None:
    objective = Choice(Choice.Config(), TOKENIZER.vocabulary)
    task = MultipleChoice(MultipleChoice.Config(), TOKENIZER)
    [example] = task.examples({"prompt": "he went", "endings": ["home", *("away" for _ in range(60))], "label": 0})
    batch = objective.collate([example], progress=None)
    assert batch.inputs.row_tokens < 3 * max(example.lengths)
    assert batch.most == 61


def test_without_a_text_a_first_token_is_not_scored() -> None:
    encoder, head = language_model(Continuing, BARE)
    task = MultipleChoice(MultipleChoice.Config(), BARE)
    [one, two] = task.predict(
        encoder,
        head,
        [{"prompt": "", "endings": ["ab", "cd"]}, {"prompt": "", "endings": ["ab", "c"]}],
        batch_tokens=64,
    )
    assert len(one["probabilities"]) == 2
    assert two == {"error": "ending 1 has no token to score: 'c'"}


def test_a_head_that_predicts_nothing_of_the_kind_is_refused() -> None:
    encoder, _ = language_model(Continuing, TOKENIZER)
    task = MultipleChoice(MultipleChoice.Config(), TOKENIZER)
    with pytest.raises(FitError, match="likelihoods need a VocabularyHead"):
        list(task.predict(encoder, torch.nn.Linear(2, 2), LIST[:1], batch_tokens=64))


@pytest.mark.parametrize(
    ("label", "right"), [(1, 1), ("1", 1), ("b", 1), ("2", 2), (0, 0)], ids=["int", "digit", "text", "both", "zero"]
)
def test_a_label_is_a_number_or_the_text_of_an_ending(label: Any, right: int) -> None:
    task = MultipleChoice(MultipleChoice.Config(), TOKENIZER)
    [example] = task.examples({"prompt": "p", "endings": ["a", "b", "2"], "label": label})
    assert example.target == right


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 3}, r'column "label": wanted a number from 0 to 1 or the text of an ending, got 3'),
        ({"label": -1}, "got -1"),
        ({"label": True}, "got True"),
        ({"label": "c"}, "got 'c'"),
        ({"label": "9" * 5000}, "got '999"),
        ({"label": "1", "endings": ["1", "0"]}, "'1' is the text of ending 0 and the number of another"),
        ({"prompt": "", "endings": ["a", ""]}, 'column "prompt": the text is empty, and so is ending 1'),
        ({"endings": "a, b"}, "wanted a list of endings, got 'a, b'"),
        ({"endings": ["a"]}, "a choice wants two endings or more, got 1"),
        ({"endings": ["a", 2]}, r'column "endings\[1\]": wanted text, got int 2'),
    ],
)
def test_what_is_wrong_with_a_row_is_told(change: dict[str, Any], message: str) -> None:
    task = MultipleChoice(MultipleChoice.Config(), TOKENIZER)
    with pytest.raises(DataError, match=message):
        list(task.examples({"prompt": "p", "endings": ["a", "b"], "label": 0, **change}))


def test_two_columns_of_endings_or_none() -> None:
    with pytest.raises(ValueError, match="ending_columns: expected two different names or more"):
        MultipleChoice.Config(ending_columns=("a",))
