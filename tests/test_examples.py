"""The examples run as they stand, in less time."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

import attrs
import pytest

import lmkit
from lmkit.recipe import read_finetuning
from lmkit.report.metrics import read_metrics

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_four_steps(tmp_path, monkeypatch, capsys):
    script = EXAMPLES / "four-steps" / "four_steps.py"
    monkeypatch.setattr(sys, "argv", [str(script), "--minutes", "0.05", "--folder", str(tmp_path / "runs")])
    runpy.run_path(str(script), run_name="__main__")
    said = capsys.readouterr().out
    assert said.startswith("tokenized: {'Robin': ")
    assert "encoded: (1, 8, 128) (1, 128)" in said
    assert "predicted: " in said
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {"bert", "tuned"}


RECIPES = sorted(path for name in ("run.toml", "adapt.toml") for path in EXAMPLES.glob(f"*/{name}"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_tasks_example_learns_its_rows(path, tmp_path, masked, causal, denoising):
    name = path.parent.name
    recipe = read_finetuning(path, overrides=["train.compile='off'", "train.precision='fp32'"])
    start = {"completion": causal, "translation": denoising}.get(name, masked)
    recipe = attrs.evolve(recipe, train=attrs.evolve(recipe.train, epochs=None, minutes=None, steps=2))
    run = lmkit.finetune(start, recipe, run=tmp_path / "run", quiet=True)
    [loss] = {r["loss"] for r in read_metrics(run.folder / "metrics.jsonl") if r["event"] == "evaluated"}
    assert loss > 0
    assert f"examples/{name}/{path.name} --run runs/" in (EXAMPLES / name / "README.md").read_text()


def pretrained(folder: Path, tokenizer: str, encoder: str, objective: str, **options: int) -> lmkit.Run:
    recipe = {
        "tokenizer": {"use": tokenizer, "vocab_size": 2000, **options},
        "data": {"train": [str(EXAMPLES.parent / "lmkit" / "demo" / "robin_hood.md")], "document": "paragraph"},
        "encoder": {"use": encoder, "layers": 1, "width": 32, "heads": 2},
        "objective": {"use": objective},
        "train": {"steps": 2, "block_tokens": 64, "batch_tokens": 512, "compile": "off", "precision": "fp32"},
    }
    return lmkit.pretrain(recipe, run=folder, quiet=True)


@pytest.fixture(scope="module")
def denoising(tmp_path_factory):
    return pretrained(tmp_path_factory.mktemp("runs") / "t5", "bpe", "t5", "span-denoising", marks=20)


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    return pretrained(tmp_path_factory.mktemp("runs") / "bert", "wordpiece", "bert", "mlm")


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    return pretrained(tmp_path_factory.mktemp("runs") / "gpt", "bpe", "gpt2", "clm")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["first_model", "classifier"])
def test_a_notebook_runs_cell_by_cell(name, monkeypatch, capsys):
    """As Jupyter runs it: one cell after the other, in one namespace; what stands last in a cell can be shown."""
    monkeypatch.chdir(EXAMPLES.parent)
    source = (EXAMPLES / "notebooks" / f"{name}.py").read_text(encoding="utf-8")
    source = source.replace("MINUTES = 1.0", "MINUTES = 0.05").replace("EPOCHS = 5", "EPOCHS = 1")
    space: dict[str, object] = {}
    shown = []
    for cell in source.split("# %%\n")[1:]:
        *body, last = ast.parse(cell).body
        exec(compile(ast.Module(body, []), name, "exec"), space)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval"), space)
            if hasattr(value, "_repr_html_"):
                shown.append(value._repr_html_())
        else:
            exec(compile(ast.Module([last], []), name, "exec"), space)
    assert shown
    assert all(html.startswith(("<table>", "<p")) and "<script" not in html for html in shown)
    assert capsys.readouterr().out
