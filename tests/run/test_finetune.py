"""Fine-tuning: a task on a run's encoder, and on its head where the kinds agree."""

from __future__ import annotations

import shutil

import pytest
import torch

import lmkit
from tests.run.recipes import metrics


def _task(use: str, book, **train) -> dict:
    return {
        "task": {"use": use, "longest": 48},
        "data": {"train": [str(book)], "document": "paragraph", "validation": 0.2},
        "train": {
            "steps": 6,
            "batch_tokens": 256,
            "block_tokens": 32,
            "precision": "fp32",
            "compile": "off",
            "threads": 1,
            "evaluate_every_steps": 3,
            "learning_rate": 0.001,
            "optimizer": "adamw",
            **train,
        },
        "checkpoint": {"every_steps": 2, "every_minutes": 0, "keep": 99},
    }


@pytest.mark.parametrize(("kind", "use", "verb"), [("mlm", "fill-mask", "fill"), ("clm", "completion", "complete")])
def test_a_task_goes_on_from_a_runs_weights(tmp_path, book, trained, kind, use, verb):
    start = trained[kind]
    before = {name: weight.clone() for name, weight in start.module.state_dict().items()}
    run = lmkit.finetune(start.folder, _task(use, book, steps=20), run=tmp_path / "tuned", quiet=True)
    validations = metrics(tmp_path / "tuned", "evaluated")
    assert validations[-1]["loss"] < validations[0]["loss"]
    assert verb in run.verbs()
    first = lmkit.load(tmp_path / "tuned").module.state_dict()
    assert any(not torch.equal(before[name], first[name]) for name in before)
    assert all(torch.equal(before[n], w) for n, w in lmkit.load(start.folder).module.state_dict().items())


@pytest.mark.parametrize(("kind", "use"), [("mlm", "fill-mask"), ("clm", "completion")])
def test_fine_tuning_resumes_to_the_same_bits(tmp_path, book, trained, kind, use):
    whole = lmkit.finetune(trained[kind].folder, _task(use, book), run=tmp_path / "whole", quiet=True)
    for step in (0, 2, 4):
        cut = tmp_path / f"cut-{step}"
        shutil.copytree(whole.folder, cut)
        for path in (cut / "checkpoints").iterdir():
            if int(path.name.removeprefix("step-")) > step:
                shutil.rmtree(path)
        again = lmkit.resume(cut, quiet=True)
        for name, weight in whole.module.state_dict().items():
            assert torch.equal(weight, again.module.state_dict()[name]), name


def test_a_tuned_run_can_be_tuned_again(tmp_path, book, trained):
    once = lmkit.finetune(trained["mlm"].folder, _task("fill-mask", book, steps=2), run=tmp_path / "once", quiet=True)
    before = {name: weight.clone() for name, weight in once.module.state_dict().items()}
    twice = lmkit.finetune(once, _task("fill-mask", book, steps=2), run=tmp_path / "twice", quiet=True)
    assert twice.fill("Robin [MASK].")["masks"]
    assert all(torch.equal(before[name], weight) for name, weight in once.module.state_dict().items())
    name = "encoder.token_embedding.weight"
    assert not torch.equal(before[name], twice.module.state_dict()[name])


def test_a_pretraining_table_in_a_tasks_file_is_explained(tmp_path, book, trained):
    table = _task("fill-mask", book) | {"encoder": {"use": "bert"}}
    with pytest.raises(lmkit.ConfigError, match="encoder: not in a task's file: it comes from the run"):
        lmkit.finetune(trained["mlm"].folder, table, run=tmp_path / "tuned", quiet=True)
    assert not (tmp_path / "tuned").exists()
