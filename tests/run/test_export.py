"""Runs leave for transformers: every encoder with every head that it has a class for, or nothing is written."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    pipeline,
)

import lmkit
from lmkit.cli.app import run as command
from tests.run.exports import CAUSAL, FINETUNED, NAMES, PRETRAINED, TASKS, finetuned, pretrained

Runs = dict[tuple[str, str], lmkit.Run]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("runs")
    return {pair: pretrained(folder, *pair) for pair in PRETRAINED}


def weights(run: lmkit.Run) -> dict[str, torch.Tensor]:
    return dict(run.module.state_dict())


def came_back(out: Path, run: lmkit.Run, folder: Path, left_out: Sequence[str]) -> None:
    """An export of `run` becomes an equal run, but for the parts of which something was left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = lmkit.import_model(out, run=folder)
    assert again.head_kind == run.head_kind
    assert type(again.tokenizer) is type(run.tokenizer)
    shapes = (r.module.encoder.transformers_config(r.module.objective.attention) for r in (again, run))
    assert next(shapes) == next(shapes)
    ours, theirs = weights(run), weights(again)
    assert ours.keys() == theirs.keys()
    parts = {"pooler.": "encoder.pooling", ".decoder.": "encoder.decoder"}
    absent = tuple(part for mark, part in parts.items() if any(mark in name for name in left_out))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if not name.startswith(absent))


@pytest.mark.parametrize("pair", PRETRAINED, ids="-".join)
def test_pretrained_runs_leave_and_come_back(tmp_path: Path, runs: Runs, pair: tuple[str, str]) -> None:
    found = lmkit.export(runs[pair], to="transformers", out=tmp_path / "out")
    assert found["class"] == PRETRAINED[pair]
    assert found["largest_difference"] < 1e-5
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files >= {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md"}
    assert len({path.stat().st_mode for path in (tmp_path / "out").iterdir()}) == 1, "read by some and not by others"
    assert ("generation_config.json" in files) == pair[1].startswith(("clm", "hybrid", "span"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    if pair[1] not in ("rtd", "hybrid"):  # whose heads transformers knows nothing of
        came_back(tmp_path / "out", runs[pair], tmp_path / "again", found["left_out"])


@pytest.mark.parametrize("pair", FINETUNED, ids="-".join)
def test_finetuned_runs_leave_and_come_back(tmp_path: Path, runs: Runs, pair: tuple[str, str]) -> None:
    encoder, task = pair
    start = next(run for (name, _), run in runs.items() if name == encoder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some read both ways after a start that did not
        run = finetuned(tmp_path, start, task, FINETUNED[pair])
    found = lmkit.export(run, to="transformers", out=tmp_path / "out")
    assert found["class"] == NAMES[encoder] + TASKS[task][0]
    assert found["largest_difference"] < 1e-5
    if task not in ("regression", "multiple-choice"):  # which come back with another range, and with a bias
        came_back(tmp_path / "out", run, tmp_path / "again", found["left_out"])


def test_it_answers_there_what_it_answers_here(tmp_path: Path, runs: Runs) -> None:
    masked, causal = runs["bert", "mlm"], runs["gpt2", "clm"]
    lmkit.export(masked, to="transformers", out=tmp_path / "masked")
    text = "Robin Hood in [MASK] stood"
    theirs = pipeline("fill-mask", model=str(tmp_path / "masked"), top_k=5)(text)
    ours = masked.fill(text, top_k=5)["masks"][0]
    assert [answer["token"] for answer in ours] == [answer["token_str"] for answer in theirs]
    assert [a["probability"] for a in ours] == pytest.approx([a["score"] for a in theirs], abs=1e-6)
    lmkit.export(causal, to="transformers", out=tmp_path / "causal")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "causal")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "causal")
    asked = tokenizer("Robin Hood", return_tensors="pt")
    made = model.generate(**asked, max_new_tokens=12, do_sample=False)
    here = causal.complete("Robin Hood", max_new_tokens=12, temperature=0.0)
    assert tokenizer.decode(made[0], skip_special_tokens=True) == here["text"]


def test_a_translator_answers_there_what_it_answers_here(tmp_path: Path, runs: Runs) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"source": f"tree {n}", "target": f"stood {n}"}) + "\n" for n in range(8)))
    table: dict[str, Any] = {
        "task": {"use": "translation"},
        "data": {"train": [str(rows)]},
        "train": {"steps": 4, "batch_tokens": 256, "compile": "off", "precision": "fp32", "threads": 1},
    }
    run = lmkit.finetune(runs["t5", "span-denoising"], table, run=tmp_path / "run", quiet=True)
    lmkit.export(run, to="transformers", out=tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out")
    made = model.generate(**tokenizer("tree 3", return_tensors="pt"), max_new_tokens=10, do_sample=False)
    [here] = run.predict([{"source": "tree 3"}], beams=1, max_new_tokens=10)
    assert tokenizer.decode(made[0], skip_special_tokens=True).strip() == here["translation"]


def test_labels_and_numbers_go_along(tmp_path: Path, runs: Runs) -> None:
    run = finetuned(tmp_path, runs["bert", "mlm"], "classification", {})
    lmkit.export(run, to="transformers", out=tmp_path / "classes")
    [theirs] = pipeline("text-classification", model=str(tmp_path / "classes"))("Robin stood")
    [ours] = run.predict(["Robin stood"])
    assert (theirs["label"], theirs["score"]) == (ours["label"], pytest.approx(ours["probability"], abs=1e-6))
    run = finetuned(tmp_path, runs["bert", "mlm"], "regression", {})
    lmkit.export(run, to="transformers", out=tmp_path / "numbers")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "numbers")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "numbers")
    with torch.no_grad():
        number = float(model(**tokenizer("Robin stood", return_tensors="pt")).logits)
    [ours] = run.predict(["Robin stood"])
    assert number == pytest.approx(ours["value"], abs=1e-5)


def test_the_card_tells_how_it_came_to_be_and_where_nobodys_files_lie(tmp_path: Path, runs: Runs) -> None:
    lmkit.export(runs["bert", "mlm"], to="transformers", out=tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    folder = runs["bert", "mlm"].folder.parent
    assert str(folder) not in card
    assert f"Trained on `{folder.name}/song.txt`" in card
    for said in (
        "library_name: transformers",
        "fill-mask",
        "BertForMaskedLM",
        'use = "mlm"',
        "3 steps",
        "lmkit-bert 0.1.0",
    ):
        assert said in card


REFUSED = {
    "clm-modernbert": ("reads with bidirectional attention; this model was trained with causal", {}),
    "mlm-gpt2": ("reads with causal attention; this model was trained with bidirectional", {}),
    "prefix-lm-bert": ("this model was trained with mixed", {}),
    "clm-t5": ("has no head of kind next-token, but seq2seq, tag", {}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_equal_there_is_refused_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    objective, _, encoder = name.rpartition("-")
    run = pretrained(tmp_path, encoder, objective, **REFUSED[name][1])
    with pytest.raises(lmkit.FitError, match=REFUSED[name][0]):
        lmkit.export(run, to="transformers", out=tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists() or not any((tmp_path / "new").iterdir())


def test_heads_that_have_no_equal_there_are_refused(tmp_path: Path, runs: Runs) -> None:
    mean = finetuned(tmp_path, runs["bert", "mlm"], "classification", {"pooling": "mean"})
    with pytest.raises(lmkit.FitError, match="reads one state of a sequence, not their mean"):
        lmkit.export(mean, to="transformers", out=tmp_path / "out")
    low = finetuned(tmp_path, runs["gpt2", "clm"], "regression", CAUSAL)
    with pytest.raises(lmkit.FitError, match="no bias for numbers, so they start at 0"):
        lmkit.export(low, to="transformers", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_scores_that_differ_are_refused_and_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = pretrained(tmp_path, "gpt2", "clm")
    forward = type(run.module.head).forward
    monkeypatch.setattr(type(run.module.head), "forward", lambda self, *a: forward(self, *a) + 0.001)
    with pytest.raises(lmkit.FitError, match=r"GPT2LMHeadModel computes other scores: they differ by 0\.001"):
        lmkit.export(run, to="transformers", out=tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gpt2-clm", "song.txt"]


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, runs: Runs) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(lmkit.RunError, match="already there"):
        lmkit.export(runs["gpt2", "clm"], to="transformers", out=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    with pytest.raises(lmkit.UnknownComponentError, match='no format named "onnx"'):
        lmkit.export(runs["gpt2", "clm"], to="onnx", out=tmp_path / "other")


def test_the_commands(tmp_path: Path, runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(runs["qwen3", "clm"].folder)
    assert command(["export", folder, "--out", str(tmp_path / "out")]) == 0
    assert "class: Qwen3ForCausalLM" in capsys.readouterr().out
    assert command(["import", str(tmp_path / "out"), "--run", str(tmp_path / "again")]) == 0
    assert 'encoder "qwen3" with a head of kind next-token, tokenizer "bpe"' in capsys.readouterr().out
    assert command(["predict", str(tmp_path / "again"), "Robin"]) == 0
    assert "completion" in capsys.readouterr().out
    assert command(["resume", str(tmp_path / "again")]) == 2
    assert "imported, so there is no training to go on with" in capsys.readouterr().err
    assert command(["export", folder, "--out", str(tmp_path / "out")]) == 2
    assert "already there" in capsys.readouterr().err


def test_an_export_among_checkpoints_is_refused(tmp_path: Path) -> None:
    run = pretrained(tmp_path, "gpt2", "clm")
    with pytest.raises(lmkit.RunError, match="among a run's checkpoints"):
        lmkit.export(run, to="transformers", out=run.folder / "checkpoints" / "step-00000009")
