"""Task "question-answering" and objective "span" keep every promise; and what the task reads, answers and counts."""

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from lmkit_finetune.question_answering import QuestionAnswering
from lmkit_finetune.span import AnswerSpan, Passage, SpanConfig, SpanHead

from lmkit.batch import Example
from lmkit.errors import DataError
from lmkit.testing import TEXTS, Check, conformance
from lmkit.testing.reference import ByteTokenizer, ReferenceEncoder

BYTES = ByteTokenizer.train(ByteTokenizer.Config(), ())
CONFIG = QuestionAnswering.Config()
WORDS = ("river", "fox", "baker", "moon", "bridge", "letter", "goats", "bell")
ROWS = [
    {"question": f"what is {number}?", "context": text, "answers": [{"text": word, "answer_start": text.index(word)}]}
    for number, (text, word) in enumerate(zip(TEXTS, WORDS, strict=True))
]
NESTED = [
    {
        "id": str(number),
        "q": row["question"],
        "text": row["context"] + ", so they say and say again",
        "gold": {name: [a[name] for a in row["answers"] if number != 1] for name in ("text", "answer_start")},
    }
    for number, row in enumerate(ROWS)
]  # the second of them has no answer


def right(answer: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    gold = row["answers"][0]
    return bool(answer["answer"] == gold["text"] and answer["start"] == gold["answer_start"])


@pytest.mark.parametrize("check", conformance(QuestionAnswering, CONFIG, rows=ROWS, right=right))
def test_question_answering_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check",
    conformance(
        QuestionAnswering,
        QuestionAnswering.Config(
            question_column="q",
            context_column="text",
            answers_column="gold",
            longest=64,
            stride=16,
            no_answer=True,
            best=3,
        ),
        rows=NESTED,
        right=lambda answer, row: answer["answer"] == "".join(row["gold"]["text"]),
    ),
)
def test_question_answering_in_windows_with_no_answer_conforms(check: Check) -> None:
    check()


def examples() -> list[Example]:
    made = []
    for number, text in enumerate(TEXTS):
        ids = BYTES.encode(text).ids
        wrapped = BYTES.wrap(ids[:4], ids[: 9 + number])
        first = wrapped.second
        answer = (first + number, first + number + 2) if number % 3 else None
        passage = Passage(first=first, stop=first + 9 + number, answer=answer)
        tokens = len(wrapped.ids)
        made.append(
            Example(
                tokens=wrapped.ids, lengths=(tokens,), segments=wrapped.segments, target=passage, key=(1, 0, number)
            )
        )
    return made


@pytest.mark.parametrize("check", conformance(AnswerSpan, SpanConfig(attention="causal"), examples=examples()))
def test_span_of_causal_models_conforms(check: Check) -> None:
    check()


def test_a_causal_model_cannot_say_that_there_is_no_answer() -> None:
    with pytest.raises(ValueError, match='the first token, which stands for "none", sees nothing'):
        QuestionAnswering.Config(attention="causal", no_answer=True)


@pytest.mark.parametrize("check", conformance(AnswerSpan, examples=examples()))
def test_span_conforms(check: Check) -> None:
    check()


def test_only_the_context_and_the_first_token_can_be_chosen() -> None:
    batch = AnswerSpan(AnswerSpan.Config(), BYTES.vocabulary).collate(examples(), progress=None)
    torch.manual_seed(1)
    encoder = ReferenceEncoder(ReferenceEncoder.Config(), BYTES.vocabulary)
    hidden = torch.randn(batch.inputs.tokens.numel(), encoder.width)
    chosen = SpanHead(encoder, SpanConfig())(hidden, batch.choices, batch.allowed).exp()
    assert chosen.sum(1).allclose(torch.ones(8, 2))
    for number, (example, place) in enumerate(zip(examples(), batch.inputs.first, strict=True)):
        row = batch.choices[number, batch.allowed[number]] - place
        assert row.tolist() == [0, *range(example.target.first, example.target.stop)]
        answer = example.target.answer or (0, 0)
        assert row[batch.targets[number]].tolist() == list(answer)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, "wanted a Passage as target, got None"),
        (Passage(first=0, stop=2), "is not within its 4 tokens"),
        (Passage(first=2, stop=5), "is not within its 4 tokens"),
        (Passage(first=2, stop=2), "is not within its 4 tokens"),
        (Passage(first=2, stop=4, answer=(1, 2)), "the answer lies outside"),
        (Passage(first=2, stop=4, answer=(3, 4)), "the answer lies outside"),
        (Passage(first=2, stop=4, answer=(3, 2)), "the answer lies outside"),
    ],
)
def test_a_target_that_does_not_fit_is_told(target: Any, message: str) -> None:
    example = Example(tokens=np.array([2, 8, 9, 3]), lengths=(4,), target=target)
    with pytest.raises(DataError, match=message):
        AnswerSpan(AnswerSpan.Config(), BYTES.vocabulary).collate([example], progress=None)


class Pointing(SpanHead):
    """Finds the answers' first and last bytes: "<" and ">"; the more of "!" a window has, the likelier is no answer."""

    def forward(self, hidden: torch.Tensor, choices: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        byte = hidden.argmax(-1)[choices] - len(BYTES.config.roles)
        start, end = (torch.where(byte == ord(mark), 9.0, 0.0) for mark in "<>")
        none = (byte == ord("!")).sum(1).float() * 3
        start[:, 0] = end[:, 0] = none
        scores = torch.stack([start, end], -1).masked_fill(~allowed[..., None], -torch.inf)
        return scores.log_softmax(1)


class Seeing(ReferenceEncoder):
    """A state is its token, one-hot; it knows how much it was given to read at once."""

    most = 0

    def forward(self, inputs: Any) -> torch.Tensor:
        self.most = max(self.most, inputs.tokens.numel())
        return torch.nn.functional.one_hot(inputs.tokens, BYTES.vocabulary.size).float()


def point(context: str, **config: Any) -> Any:
    task = QuestionAnswering(attrs.evolve(CONFIG, **config), BYTES)
    encoder = Seeing(ReferenceEncoder.Config(), BYTES.vocabulary)
    rows = [{"question": "where?", "context": context}]
    [answer] = task.predict(encoder, Pointing(encoder, SpanConfig()), rows, batch_tokens=512)
    return answer


def test_the_likeliest_span_is_answered_by_its_characters() -> None:
    context = "naïve 漢字 <née> and more"
    answer = point(context, best=3)
    assert answer["answer"] == "<née>"
    assert context[answer["start"] : answer["end"]] == "<née>"
    assert answer["best"][0] == {name: answer[name] for name in ("answer", "start", "end", "probability")}
    assert len({(b["start"], b["end"]) for b in answer["best"]}) == 3
    probabilities = [b["probability"] for b in answer["best"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 < sum(probabilities) < 1


def test_an_end_comes_after_its_start_and_not_too_late() -> None:
    assert point("> and <so on")["answer"].startswith("<")
    assert point("<abcdefgh>")["answer"] == "<abcdefgh>"
    assert point("<abcdefgh>", longest_answer=10)["answer"] == "<abcdefgh>"
    assert len(point("<abcdefgh>", longest_answer=9)["answer"]) <= 9


def test_white_space_around_an_answer_is_left_out() -> None:
    for found in point(" < a > ", best=40)["best"]:
        assert found["answer"] == found["answer"].strip() != ""


def test_an_answer_is_found_in_any_window_of_a_long_context() -> None:
    for before in range(0, 400, 37):
        context = "x" * before + "<here>" + "y" * (400 - before)
        answer = point(context, longest=64, stride=20)
        assert (answer["answer"], answer["start"]) == ("<here>", before)


def test_no_answer_is_given_where_it_is_likelier_by_the_threshold() -> None:
    assert point("<a> !!!!!!!")["answer"] == "<a>"
    none = point("<a> !!!!!!!", no_answer=True)
    assert (none["answer"], none["start"], none["end"]) == ("", None, None)
    assert none["probability"] == none["best"][0]["probability"] > 0.5
    assert point("<a> !!!!!!!", no_answer=True, threshold=30.0)["answer"] == "<a>"
    assert point("<a> !", no_answer=True)["answer"] == "<a>"
    assert point("<a> !", no_answer=True, threshold=-30.0)["answer"] == ""
    windows = point("<a> " + "x" * 200 + "!" * 100, no_answer=True, longest=64)
    assert windows["answer"] == "<a>", "a window without the answer does not say that there is none"


def test_a_context_of_100000_words_is_read_in_batches() -> None:
    task = QuestionAnswering(attrs.evolve(CONFIG, stride=0, best=1), BYTES)
    encoder = Seeing(ReferenceEncoder.Config(), BYTES.vocabulary)
    rows = [{"question": "where?", "context": "w " * 60_000 + "<here>" + " w" * 40_000}]
    [answer] = task.predict(encoder, Pointing(encoder, SpanConfig()), rows, batch_tokens=1024)
    assert answer["start"] == 120_000
    assert encoder.most <= 1024


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"answers": [{"text": "fox", "answer_start": 3}]},
            'answer "fox" is not at character 3 .* which has " fo" there',
        ),
        ({"answers": [{"text": "fox", "answer_start": -4}]}, 'answer "fox" is not at character -4'),
        ({"answers": [{"text": "fox", "answer_start": 999}]}, 'answer "fox" is not at character 999 .* has "" there'),
        ({"answers": {"text": ["fox"], "answer_start": []}}, 'column "answers": wanted .* or {"text"'),
        ({"answers": [{"text": "fox"}]}, 'column "answers": wanted'),
        ({"answers": [{"text": "", "answer_start": 0}]}, 'column "answers": wanted'),
        ({"answers": "fox"}, 'column "answers": wanted .* got .fox.'),
        ({"answers": None}, 'column "answers": wanted .* got None'),
        ({"question": ""}, 'column "question": the text is empty'),
        ({"context": ""}, 'column "context": the text is empty'),
        ({"context": 7}, 'column "context": wanted text, got int 7'),
    ],
)
def test_a_bad_row_is_told(change: dict[str, Any], message: str) -> None:
    row = {"question": "who?", "context": "the fox ran", "answers": []} | change
    with pytest.raises(DataError, match=message):
        list(QuestionAnswering(CONFIG, BYTES).examples(row))


def test_a_row_without_answers_is_no_row_to_learn_from() -> None:
    with pytest.raises(DataError, match='no column "answers"; the row has "question", "context"'):
        list(QuestionAnswering(CONFIG, BYTES).examples({"question": "who?", "context": "the fox"}))


def test_scores_are_sums_over_rows_with_and_without_answers() -> None:
    task = QuestionAnswering(CONFIG, BYTES)
    gold = {"answers": [{"text": "the red fox", "answer_start": 0}, {"text": "fox", "answer_start": 8}]}
    none: dict[str, Any] = {"answers": {"text": [], "answer_start": []}}
    total: dict[str, float] = {}
    for said, row in (("Fox!", gold), ("red hen", gold), ("", none), ("hen", none), ("", gold)):
        for name, value in task.tally({"answer": said}, row).items():
            total[name] = total.get(name, 0.0) + value
    assert task.score(total) == pytest.approx(
        {
            "exact_match": 2 / 5,
            "f1": (1 + 0.5 + 1) / 5,
            "has_answer_exact_match": 1 / 3,
            "has_answer_f1": 1.5 / 3,
            "no_answer_exact_match": 1 / 2,
            "no_answer_f1": 1 / 2,
        }
    )
    assert task.tally({"answer": "fox"}, {"question": "who?"}) == {}
    assert task.score({}) == {}
    assert (task.metric, QuestionAnswering(attrs.evolve(CONFIG, metric="loss"), BYTES).metric) == ("f1", None)
