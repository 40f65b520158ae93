import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from lmkit_gpt.bpe import BytePairEncoding
from lmkit_gpt.completion import Completion, CompletionConfig
from lmkit_gpt.gpt2 import Gpt2, Gpt2Config
from sacrebleu.metrics import BLEU

from lmkit.batch import Example
from lmkit.errors import DataError
from lmkit.parts.heads import VocabularyHead

TEXT = (
    "In merry England in the time of old, when good King Henry the Second ruled the land, there lived within the "
    "green glades of Sherwood Forest, near Nottingham Town, a famous outlaw whose name was Robin Hood.\n\n"
)
PROMPTS = ["Robin Hood", "the", "In merry England in the time of", "", "when good King", "naïve 😀 text"]


@pytest.fixture(scope="module")
def bpe() -> BytePairEncoding:
    return BytePairEncoding.train(BytePairEncoding.Config(vocab_size=340), [TEXT * 3])


@pytest.fixture(scope="module")
def gpt2(bpe: BytePairEncoding) -> Gpt2:
    """Untrained, but with opinions: its answers differ from prompt to prompt."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder = Gpt2(Gpt2Config(layers=2, width=32, heads=2, positions=64), bpe.vocabulary)
        with torch.no_grad():
            for weight in encoder.parameters():
                weight.mul_(8) if weight.ndim == 2 else weight
    return encoder


Complete = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def complete(bpe: BytePairEncoding, gpt2: Gpt2) -> Complete:
    def completed(rows: list[Any], batch_tokens: int = 2048, **config: Any) -> list[dict[str, Any]]:
        task = Completion(CompletionConfig(**{"max_new_tokens": 12} | config), bpe)
        asked = (task.row(row) if isinstance(row, str) else row for row in rows)
        return list(task.predict(gpt2, VocabularyHead(gpt2), asked, batch_tokens=batch_tokens))

    return completed


def task(tokenizer: BytePairEncoding, **config: Any) -> Completion:
    return Completion(CompletionConfig(**config), tokenizer)


def completions(answers: list[dict[str, Any]]) -> list[str]:
    return [answer["completion"] for answer in answers]


@pytest.mark.parametrize("config", [{"temperature": 0}, {}, {"top_k": 20, "top_p": 0.9, "temperature": 0.7}])
def test_batches_change_no_answer(complete: Complete, config: dict[str, Any]) -> None:
    together = complete(PROMPTS, **config)
    assert completions(together) == completions(complete(PROMPTS, batch_tokens=1, **config))
    assert completions(together) == completions(complete(PROMPTS, batch_tokens=70, **config))
    assert len(set(completions(together))) == len(PROMPTS)


def test_an_answer_says_how_it_ended_and_how_likely_it_was(complete: Complete) -> None:
    (answer,) = complete(["Robin"], temperature=0)
    assert answer["text"] == "Robin" + answer["completion"]
    assert (answer["stopped"], answer["tokens"]) == ("length", 12)
    assert -12 * np.log(340) < answer["log_probability"] < 0


def test_the_seed_and_the_place_decide_a_draw(complete: Complete) -> None:
    one, other = completions(complete(["Robin", "Robin"]))
    assert one != other
    assert completions(complete(["Robin"])) == [one]
    assert completions(complete(["Robin"], seed=2)) != [one]


def test_it_stops_before_a_stop_string(complete: Complete) -> None:
    whole = completions(complete(PROMPTS, temperature=0))[0]
    stop = whole[4:6]
    (answer,) = complete(PROMPTS[:1], temperature=0, stop=(stop, "never"))
    assert answer["stopped"] == "stop"
    assert answer["completion"] == whole[: whole.index(stop)]
    assert answer["tokens"] < 12


def test_it_stops_where_the_model_ends_the_text(bpe: BytePairEncoding, gpt2: Gpt2) -> None:
    """With an embedding that is the mean of all states there is no likelier token than the end."""
    encoder = Gpt2(gpt2.config, bpe.vocabulary)
    encoder.load_state_dict(gpt2.state_dict())
    with torch.no_grad():
        encoder.norm.weight.zero_()
        encoder.norm.bias.copy_(100 * encoder.token_embedding.weight[bpe.vocabulary.special["eos"]])
    answers = task(bpe).predict(encoder, VocabularyHead(encoder), [{"text": "Robin"}], batch_tokens=99)
    answer = next(answers)
    assert (answer["completion"], answer["stopped"], answer["tokens"]) == ("", "end", 1)


def test_it_stops_where_the_model_can_read_no_more(complete: Complete, bpe: BytePairEncoding) -> None:
    prompt = "x" * 60
    (answer,) = complete([prompt])
    assert (answer["stopped"], answer["tokens"]) == ("length", 64 - 61)


def test_streaming_shows_what_predict_answers(complete: Complete, bpe: BytePairEncoding, gpt2: Gpt2) -> None:
    for prompt in PROMPTS:
        (wanted,) = complete([prompt], stop=("e",))
        shown = list(task(bpe, max_new_tokens=12, stop=("e",)).stream(gpt2, VocabularyHead(gpt2), prompt))
        assert "".join(shown) == wanted["completion"]
        assert all(shown)
    assert len(list(task(bpe, max_new_tokens=12).stream(gpt2, VocabularyHead(gpt2), "Robin"))) > 4


def test_a_row_that_cannot_be_completed_says_so_in_its_place(complete: Complete) -> None:
    answers = complete(["Robin", {"title": "x"}, {"text": 5}, "a" * 63, "a\ud800", {"prompt": "the"}])
    assert [answer.get("error") for answer in answers] == [
        None,
        'no column "text"; the row has "title"',
        'column "text": wanted text, got int 5',
        "the prompt has 64 tokens, but this model reads 64 at most, new ones included: shorten it",
        'column "text": character 2 is a lone surrogate (U+D800), no valid Unicode',
        None,
    ]
    assert answers[5]["text"].startswith("the")


def test_rows_are_read_as_they_are_answered(bpe: BytePairEncoding, gpt2: Gpt2) -> None:
    def endless() -> Iterator[dict[str, str]]:
        while True:
            yield {"text": "Robin"}

    answers = task(bpe, max_new_tokens=1).predict(gpt2, VocabularyHead(gpt2), endless(), batch_tokens=30)
    assert all(next(answers)["tokens"] == 1 for _ in range(9))


def test_naughty_prompts_are_completed_in_any_batch(complete: Complete, naughty_strings: list[str]) -> None:
    short = [text[:10] for text in naughty_strings]
    answers = complete(short, max_new_tokens=4)
    assert all(answer["text"] == text + answer["completion"] for text, answer in zip(short, answers, strict=True))
    assert completions(answers) == completions(complete(short, max_new_tokens=4, batch_tokens=60))


@pytest.mark.data
def test_no_naughty_string_and_no_length_breaks_it(complete: Complete, data_folder: Path) -> None:
    texts = json.loads((data_folder / "hard_inputs/blns.json").read_text(encoding="utf-8"))
    answers = complete([*texts, "word " * 100_000, "a" * 100_000], max_new_tokens=2)
    assert len(answers) == len(texts) + 2
    assert sum("completion" in answer for answer in answers) > 400
    assert all("model reads 64 at most" in answer["error"] for answer in answers if "error" in answer)
    assert {"error"} == set(answers[-1]) == set(answers[-2])


def decoded(tokenizer: BytePairEncoding, examples: list[Example]) -> str:
    return "".join(tokenizer.decode(example.tokens) for example in examples)


def test_a_text_to_learn_from_becomes_examples_of_the_longest_length(bpe: BytePairEncoding) -> None:
    examples = list(task(bpe, longest=20).examples({"text": TEXT}))
    assert len(examples) > 3
    assert [len(e.tokens) for e in examples[:-1]] == [20] * (len(examples) - 1)
    assert all(e.lengths == (len(e.tokens),) and e.target is None for e in examples)
    bos, eos = bpe.vocabulary.special["bos"], bpe.vocabulary.special["eos"]
    assert all(e.tokens[0] == bos for e in examples)
    assert examples[-1].tokens[-1] == eos
    assert decoded(bpe, examples) == TEXT


def test_of_a_prompt_with_its_completion_the_completion_is_scored(bpe: BytePairEncoding) -> None:
    learning = task(bpe)
    (example,) = learning.examples({"prompt": "Robin", "completion": " Hood."})
    assert bpe.decode(example.tokens[example.target]) == " Hood."
    assert example.tokens[-1] == bpe.vocabulary.special["eos"]
    assert example.target[-1]
    prompt = learning._opening("Robin")
    assert example.tokens[: len(prompt)].tolist() == prompt.tolist(), "as predict reads it"
    batch = learning.build_objective(()).collate([example], progress=0.0)
    assert batch.counts == {"clm": int(example.target.sum())}


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"text": 1}, 'column "text": wanted text, got int 1'),
        ({"completion": "a"}, 'no column "prompt"; the row has "completion"'),
        (
            {"prompt": "a" * 10, "completion": "b" * 10},
            "prompt and completion have 22 tokens together, longest is 16: raise it, or shorten them",
        ),
        ({"text": ""}, 'column "text": the text is too short to learn from'),
    ],
)
def test_a_row_to_learn_from_that_cannot_be_is_refused(
    bpe: BytePairEncoding, row: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(DataError) as raised:
        list(task(bpe, longest=16).examples(row))
    assert str(raised.value) == sentence


def test_exact_matches_are_counted(bpe: BytePairEncoding) -> None:
    scoring = task(bpe)
    rows = [{"prompt": "a", "completion": text} for text in (" Hood", "Hood\n", "Rob")]
    tallies = [scoring.tally({"completion": "Hood"}, row) for row in rows]
    tallies.append(scoring.tally({"error": "no"}, rows[0]))
    assert [tally["right"] for tally in tallies] == [1, 1, 0, 0]
    for none in ({"text": "a"}, {"prompt": "a", "completion": None}, {"prompt": "a", "completion": ""}):
        assert scoring.tally({"completion": "Hood"}, none) == {}
    assert scoring.score({"rows": 4.0, "right": 2.0}) == {"exact_match": 0.5}
    assert scoring.score({}) == {}


def test_bleu_is_scored_if_asked_for(bpe: BytePairEncoding) -> None:
    scoring, total = task(bpe, bleu=True), Counter[str]()
    said = ["Robin drew his bow.", "the green wood of Sherwood"]
    for text, gold in zip(said, ["Robin bent his bow.", "the green wood of Sherwood"], strict=True):
        total.update(scoring.tally({"completion": text}, {"prompt": "a", "completion": gold}))
    expected = BLEU().corpus_score(said, [["Robin bent his bow.", "the green wood of Sherwood"]]).score
    assert scoring.score(total) == {"exact_match": 0.5, "bleu": pytest.approx(expected)}


@pytest.mark.parametrize(
    "wrong",
    [{"max_new_tokens": 0}, {"temperature": -1}, {"top_p": 0}, {"top_p": 1.1}, {"top_k": -1}, {"stop": ("",)}],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        CompletionConfig(**wrong)
    assert next(iter(wrong)) in attrs.asdict(CompletionConfig())


def test_training_on_a_text_makes_the_model_complete_it(bpe: BytePairEncoding) -> None:
    """Learn one sentence by heart, then say it."""
    learning = task(bpe, temperature=0, max_new_tokens=80)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = Gpt2(Gpt2Config(layers=1, width=48, heads=2, positions=128), bpe.vocabulary)
    objective = learning.build_objective(())
    head = objective.build_head(encoder)
    batch = objective.collate(list(learning.examples({"text": TEXT})), progress=0.0)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        (objective.loss(encoder, head, batch)["clm"] / batch.counts["clm"]).backward()
        optimizer.step()
    (answer,) = learning.predict(encoder, head, [{"text": "In merry England"}], batch_tokens=512)
    assert answer["text"] == TEXT
    assert answer["stopped"] == "end"
