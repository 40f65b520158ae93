"""lm-evaluation-harness on a run's folder: the figures of its own adapter for transformers, on the exported model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM, AutoTokenizer

import lmkit
from lmkit.run.harness import RunLM

CHOICES = """
task: which
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{text}}}}"
doc_to_choice: ["forest", "town"]
doc_to_target: label
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""
READING = """
task: reading
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list: [{{metric: word_perplexity}}, {{metric: bits_per_byte}}]
"""
WRITING = """
task: writing
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{text}}}}"
doc_to_target: "x"
generation_kwargs: {{until: ["."], max_gen_toks: 5, do_sample: false}}
metric_list: [{{metric: exact_match}}]
"""


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    rows = folder / "rows.jsonl"
    texts = ["Robin Hood went to the", "The sheriff lived in the", "Little John loved the green", "A"]
    rows.write_text("".join(json.dumps({"text": text, "label": i % 2}) + "\n" for i, text in enumerate(texts)))
    for name, text in (("which", CHOICES), ("reading", READING), ("writing", WRITING)):
        (folder / f"{name}.yaml").write_text(text.format(rows=rows))
    return folder


def figures(model: Any, folder: Path, names: list[str]) -> dict[str, Any]:
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    found = lm_eval.simple_evaluate(model=model, tasks=names, task_manager=manager, bootstrap_iters=0, log_samples=True)
    assert found is not None
    answers = [sample["filtered_resps"] for name in names for sample in found["samples"][name]]
    return {"results": found["results"], "answers": answers}


@pytest.mark.filterwarnings("ignore")  # of the harness itself
def test_a_runs_figures_are_those_of_the_exported_model(
    tmp_path: Path, trained: dict[str, lmkit.Run], tasks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    lmkit.export(trained["clm"], to="transformers", out=tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ours = RunLM(trained["clm"].folder)
    # Its adapter puts a text's first token before contexts where asked, and before whole texts always: never both.
    for names, first in ((["which", "writing"], True), (["reading"], False)):
        theirs = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, add_bos_token=first, max_length=64)
        found, wanted = (figures(lm, tasks, names) for lm in (ours, theirs))
        for name in names:
            for metric, value in wanted["results"][name].items():
                if isinstance(value, float):
                    assert found["results"][name][metric] == pytest.approx(value, rel=1e-4), (name, metric)
        for one, other in zip(found["answers"], wanted["answers"], strict=True):
            assert said(one) == pytest.approx(said(other), abs=1e-3)


def said(answers: Any) -> list[Any]:
    """What a model answered, flat: numbers, whether likeliest, texts."""
    return [part for answer in answers for part in (answer if isinstance(answer, (tuple, list)) else [answer])]


def test_a_masked_model_judges_and_does_not_write(trained: dict[str, lmkit.Run]) -> None:
    model = RunLM(trained["mlm"])
    asked = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate([("Robin", " Hood"), ("Robin", " bow")])]
    found = model.loglikelihood(asked)
    assert all(total < 0 for total, _ in found)
    with pytest.raises(lmkit.FitError, match="a run with a head of kind token writes no text"):
        model.generate_until([Instance("generate_until", {}, ("Robin", {}), 0)])


def test_of_a_text_longer_than_the_model_the_end_is_continued(trained: dict[str, lmkit.Run]) -> None:
    model = RunLM(trained["clm"])
    end = "Robin Hood went to the greenwood. " * (model.run.module.encoder.longest // 4)
    asked = [
        Instance("generate_until", {}, (start + end, {"max_gen_toks": 5, **drawing}), i)
        for i, (start, drawing) in enumerate(
            [("", {}), ("The sheriff. " * 100, {}), ("", {"do_sample": True, "temperature": 2.0, "top_k": 1})]
        )
    ]
    first, *others = model.generate_until(asked)
    assert first
    assert others == [first, first]  # what is far before is not read, and the likeliest of one is greedy


@pytest.mark.parametrize("wrong", [0, -5, "x", "1.5"])
def test_tokens_of_a_batch_are_a_number(trained: dict[str, lmkit.Run], wrong: int | str) -> None:
    with pytest.raises(lmkit.FitError, match=f"batch_tokens: expected a number of tokens, 1 or more, got {wrong!r}"):
        RunLM(trained["clm"], batch_tokens=wrong)
