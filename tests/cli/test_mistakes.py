"""Mistakes that people make: each is one sentence that says where, what was wanted, what came and what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli import forked

RECIPE = """
[tokenizer]
use = "bpe"
vocab_size = 300
[data]
train = ["text.txt"]
document = "line"
[encoder]
use = "gpt2"
layers = 1
width = 64
positions = 32
[objective]
use = "clm"
[train]
steps = 2
block_tokens = 16
batch_tokens = 64
threads = 1
precision = "fp32"
compile = "off"
"""
TASK = """
[task]
use = "classification"
[data]
train = ["rows.jsonl"]
validation = ["{held}.jsonl"]
[train]
steps = 2
"""
FILES = {
    "text.txt": "Robin Hood in greenwood stood, and under a tree was he.\n" * 60,
    "run.toml": RECIPE,
    "table.toml": RECIPE.replace("[encoder]", "[encodr]"),
    "cut.toml": "[train\nsteps = 1\n",
    "budgets.toml": RECIPE.replace("steps = 2", "steps = 2\nminutes = 1"),
    "rows.jsonl": "".join(f'{{"text": "number {n}", "label": "{"yn"[n % 2]}"}}\n' for n in range(8)),
    **{f"{held}.toml": TASK.format(held=held) for held in ("label", "row", "column")},
    "label.jsonl": '{"text": "a", "label": "maybe"}\n',
    "row.jsonl": '{"text": "a", "label": "y"}\n{"text":\n',
    "column.jsonl": '{"txt": "a", "label": "y"}\n',
}
OBJECTIVES = (
    "clm (lmkit-gpt 0.1.0), fim (lmkit-gpt 0.1.0), hybrid (lmkit-hybrid 0.1.0), mlm (lmkit-bert 0.1.0), "
    "prefix-lm (lmkit-gpt 0.1.0), rtd (lmkit-electra 0.1.0), seq2seq (lmkit-seq2seq 0.1.0), "
    "span-denoising (lmkit-seq2seq 0.1.0)"
)
MISTAKES = {
    "pretrain nothing.toml --run new": (2, "nothing.toml: 1 problem\n  no such file"),
    "pretrain run.toml --run new --set data.train=['texts/*.txt']": (
        2,
        "PLACE/texts/*.txt: a pattern that matches no file. Correct the path",
    ),
    "pretrain run.toml --run new --set encoder.layerz=2": (
        2,
        (
            'run.toml: 1 problem\n  encoder.layerz: unknown key for encoder "gpt2" (lmkit-gpt 0.1.0). '
            'Did you mean "layers"?'
        ),
    ),
    "pretrain table.toml --run new": (
        2,
        (
            'table.toml: 2 problems\n  encodr: unknown key. Did you mean "encoder"?\n'
            '  encoder: required, a table with use = "..."'
        ),
    ),
    "pretrain cut.toml --run new": (
        2,
        "cut.toml: 1 problem\n  line 1, column 7: Expected ']' at the end of a table declaration",
    ),
    "pretrain run.toml --run new --set encoder.layers='two'": (
        2,
        "run.toml: 1 problem\n  encoder.layers: expected int, got str 'two'",
    ),
    "pretrain run.toml --run new --set objective.use=cml": (
        2,
        f'run.toml: 1 problem\n  objective.use: no objective named "cml". Installed: {OBJECTIVES}. Did you mean "clm"?',
    ),
    "pretrain run.toml --run new --set objective.use=span-denoising": (
        2,
        'objective "span-denoising" needs an encoder that reads a context; encoder "gpt2" does not',
    ),
    "pretrain run.toml --run new --set train.block_tokens=64": (
        2,
        (
            'encoder "gpt2" reads at most 32 tokens, but train.block_tokens is 64: lower it, or build the encoder with '
            "more positions"
        ),
    ),
    "pretrain budgets.toml --run new": (
        2,
        (
            "budgets.toml: 1 problem\n  train: wanted exactly one budget of steps, tokens, epochs and minutes, "
            "got steps and minutes"
        ),
    ),
    "pretrain run.toml --run first": (
        2,
        "first: already there; go on with: lmkit resume first, or give the new run another --run",
    ),
    "pretrain run.toml --run new --set tokenizer.vocab_size=3": (
        2,
        "run.toml: 1 problem\n  tokenizer.vocab_size: 'vocab_size' must be >= 300: 3",
    ),
    "finetune first label.toml --run new": (
        2,
        (
            'PLACE/label.jsonl:1: label "maybe" is not among those of the training rows: n, y. Mend the row, or '
            'leave out what is bad with bad_input = "skip" in [data]'
        ),
    ),
    "finetune first row.toml --run new": (
        2,
        (
            "PLACE/row.jsonl:2: not a JSON object: Expecting value: line 2 column 1 (char 9). Repair the row, or "
            'leave out what is bad with bad_input = "skip" in [data]'
        ),
    ),
    "finetune first column.toml --run new": (
        2,
        (
            'PLACE/column.jsonl:1: no column "text"; the row has "txt", "label". Mend the row, or leave out what is '
            'bad with bad_input = "skip" in [data]'
        ),
    ),
    "finetune first label.toml --run new --seeds 1,x": (
        2,
        "--seeds: 1 problem\n  expected numbers such as 1,2,3, got '1,x'",
    ),
    "predict first --task fill-mask a": (
        2,
        'task "fill-mask" reads heads of kind masked-next-token, token; this run has a head of kind next-token',
    ),
    "predict first a --set temprature=1": (
        2,
        (
            'task completion: 1 problem\n  temprature: unknown key for task "completion" (lmkit-gpt 0.1.0). '
            'Did you mean "temperature"?'
        ),
    ),
    "check run.toml --gpu h100": (
        2,
        "--gpu: 1 problem\n  says of which kind the GPUs of --world N are: give that too",
    ),
    "predict second a": (2, "second: no such folder"),
    "predict damaged a": (
        1,
        (
            "damaged/checkpoints: no checkpoint is whole\n  damaged/checkpoints/step-00000002: model.safetensors has 1 "
            "bytes, its manifest says 284880\nTo start over, remove that folder"
        ),
    ),
    "pretrain run.toml --run /proc/new": (2, "/proc/new: cannot be written: No such file or directory"),
    "pretrain run.toml": (2, "Missing option '--run'.\n  `lmkit pretrain --help` shows what it takes"),
    "pretran run.toml": (
        2,
        "No such command 'pretran'. Did you mean 'pretrain'?\n  `lmkit --help` shows what it takes",
    ),
}
"""What is typed -> exit status and what is said; PLACE is the working directory."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mistakes")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "bad.txt").write_bytes(b"good\n\xff\xfe bad\n")
    for run in ("first", "damaged"):
        words = ["pretrain", "run.toml", "--run", run, "--quiet"]
        assert forked.run(words, folder=folder, environment=os.environ, text=None).returncode == 0
    [weights] = (folder / "damaged").glob("checkpoints/*/model.safetensors")
    weights.write_bytes(b"x")
    return folder


@pytest.mark.parametrize("typed", MISTAKES)
def test_a_mistake_is_told_in_a_sentence(place: Path, typed: str) -> None:
    status, sentence = MISTAKES[typed]
    done = forked.run(typed.split(), folder=place, environment=os.environ, text=None)
    assert done.returncode == status
    assert done.stderr == f"error: {sentence.replace('PLACE', str(place))}\n"
    assert done.stdout == ""
    assert not (place / "new").exists()
