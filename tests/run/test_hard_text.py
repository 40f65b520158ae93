"""Every task on text that nobody wants: empty, naughty, of 100,000 words; learned from, answered and scored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

import lmkit
from tests.run.labelled import TRAIN, write

Row = dict[str, Any]
LONG = "the old fox was good " * 20_000


@attrs.frozen
class Case:
    """A task, a row that has a text wherever it may have one, and the start it fits."""

    task: str
    rows: Callable[[str], list[Row]]
    learned: Callable[[str], Row] | None
    start: str = "mlm"
    longest: int = 48
    options: dict[str, Any] = attrs.field(factory=dict)


def tagged(text: str, tag: str) -> Row:
    words = text.split(" ")
    return {"tokens": words, "tags": [tag] * len(words)}


def asked(text: str) -> list[Row]:
    return [{"question": text, "context": "The fox."}, {"question": "Who?", "context": text, "answers": []}]


def ending(text: str) -> list[Row]:
    return [{"prompt": text, "endings": ["a", "b"], "label": 0}, {"prompt": "The", "endings": [text, "b"]}]


QUICK = {"sentences": 1, "beams": 1}
CASES = [
    Case("classification", lambda t: [{"text": t, "label": "l1"}], lambda t: {"text": t, "label": f"l{len(t) % 2}"}),
    Case("regression", lambda t: [{"text": t, "label": 1}], lambda t: {"text": t, "label": len(t) % 3}),
    Case("token-classification", lambda t: [tagged(t, "O")], lambda t: tagged(t, "B-X")),
    Case(
        "question-answering",
        asked,
        lambda t: {"question": "Who?", "context": t, "answers": [{"text": t, "answer_start": 0}]},
    ),
    Case("multiple-choice", ending, lambda t: {"prompt": t, "endings": [t, "the"], "label": 1}),
    Case("embedding", lambda t: [{"text": t}], lambda t: {"text": t, "pair": f"{t} {t}", "similarity": 0.5}),
    Case("fill-mask", lambda t: [{"text": f"{t} [MASK] {t}"}], lambda t: {"text": t}),
    Case("minimal-pairs", lambda t: [{"sentence_good": t[:300], "sentence_bad": f"the {t[:300]}"}], None),
    Case("completion", lambda t: [{"text": t}], lambda t: {"text": t}, "clm"),
    Case(
        "vocabulary",
        lambda t: [{"words": [t]}, {"text": t}],
        lambda t: {"text": f"{t}. The fox ran."},
        "clm",
        16,
        QUICK,
    ),
]


@pytest.mark.data
@pytest.mark.parametrize(
    "case", [pytest.param(c, id=c.task, marks=pytest.mark.slow if c.options else ()) for c in CASES]
)
def test_it_is_learned_from_answered_and_scored(
    case: Case, trained: dict[str, lmkit.Run], data_folder: Path, tmp_path: Path
) -> None:
    naughty = json.loads((data_folder / "hard_inputs/blns.json").read_text(encoding="utf-8"))
    run = trained[case.start]
    if case.learned is not None:
        table = {
            "task": {"use": case.task, "longest": case.longest},
            "data": {
                "train": [write(tmp_path / "rows.jsonl", [case.learned(t) for t in naughty])],
                "bad_input": "skip",
            },
            "train": {**TRAIN, "steps": 2, "batch_tokens": 256, "learning_rate": 0.01, "matrix_learning_rate": 0.01},
        }
        run = lmkit.finetune(run, table, run=tmp_path / "run", quiet=True)
    rows = [row for text in ["", " ", *naughty, LONG] for row in case.rows(text)]
    answers = list(run.predict(rows, task=case.task, **case.options))
    assert len(answers) == len(rows)
    assert all(json.dumps(answer, allow_nan=False) for answer in answers)
    told = [answer["error"] for answer in answers if "error" in answer]
    assert all(len(sentence) > 10 for sentence in told)
    assert len(told) < len(rows) / 2, "most strings are texts after all"


def test_a_text_that_is_longer_than_the_encoder_reads_is_cut(trained: dict[str, lmkit.Run], tmp_path: Path) -> None:
    bert = trained["mlm"]
    assert "embedding" in next(iter(bert.predict([{"text": LONG}], task="embedding")))
    rows = [{"text": f"the {word}", "label": n, "prompt": "the", "endings": ["a", word]} for n, word in enumerate("ab")]
    for task in ("classification", "regression", "multiple-choice"):
        table = {
            "task": {"use": task},
            "data": {"train": [write(tmp_path / "rows.jsonl", rows)]},
            "train": {**TRAIN, "steps": 1, "batch_tokens": 512},
        }
        run = lmkit.finetune(bert, table, run=tmp_path / task, quiet=True)
        [answer] = run.predict([{"text": LONG, "prompt": LONG, "endings": ["a", "b"]}])
        assert "error" not in answer
        table["data"]["validation"] = [write(tmp_path / "long.jsonl", [{**rows[0], "text": LONG, "prompt": LONG}])]
        with pytest.raises(lmkit.FitError, match="reads at most 64 tokens, but the longest example of the task"):
            lmkit.finetune(bert, table, run=tmp_path / "none", quiet=True)
        assert not (tmp_path / "none").exists()
