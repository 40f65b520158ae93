"""Tokenizers, encoders and objectives that fit are trained, saved, loaded and asked: nothing is special to a pair."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import lmkit
from lmkit.registry import default_registry
from lmkit.report.metrics import read_metrics
from lmkit.run.matrix import matrix

TOKENIZERS: dict[str, dict[str, Any]] = {
    "wordpiece": {"vocab_size": 300},
    "bpe": {"vocab_size": 380, "middle": True, "marks": 20},
    "unigram": {"vocab_size": 380, "middle": True, "marks": 20},
    "bytes": {"middle": True, "marks": 20},
}
SMALL = {"layers": 1, "width": 32, "heads": 2}
ENCODERS: dict[str, dict[str, Any]] = {
    "bert": {**SMALL, "positions": 64},
    "modernbert": {**SMALL, "window": 8},
    "gpt2": {**SMALL, "positions": 64},
    "qwen3": {**SMALL, "head_width": 16},
    "t5": {**SMALL, "head_width": 16},
    "transformers": {
        "config": {
            "model_type": "llama",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
        }
    },
}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "mlm": {"unit": "span"},
    "clm": {},
    "prefix-lm": {},
    "fim": {},
    "hybrid": {"causal_share": 0.5},
    "rtd": {"generator": 0.5},
    "span-denoising": {},
}
ACROSS = ("span-denoising",)  # need an encoder that reads a context
TRIPLES = [("bpe", encoder, objective) for encoder in ENCODERS for objective in OBJECTIVES if objective not in ACROSS]
TRIPLES += [
    (tokenizer, "bert", objective)
    for tokenizer in TOKENIZERS
    for objective in OBJECTIVES
    if tokenizer != "bpe" and objective not in ACROSS and (tokenizer, objective) != ("wordpiece", "fim")
]
TRIPLES += [
    (tokenizer, "t5", objective) for tokenizer in TOKENIZERS for objective in ACROSS if tokenizer != "wordpiece"
]


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("song") / "song.txt"
    file.write_text("Robin Hood in greenwood stood, and under a tree was he.\n" * 40)
    return file


def test_every_installed_component_is_tried_here() -> None:
    """A new one has to be added above."""
    ours = {c for c in default_registry().components() if c.distribution.startswith("lmkit-")}
    elsewhere = {
        "objective": {"seq2seq"},  # learned from rows
        "tokenizer": {"transformers"},  # begins with a folder: tests/run/test_import.py
        "encoder": set(),
    }
    for kind, tried in (("tokenizer", TOKENIZERS), ("encoder", ENCODERS), ("objective", OBJECTIVES)):
        assert {c.name for c in ours if c.kind == kind} - elsewhere[kind] == tried.keys(), kind


@pytest.mark.parametrize(("tokenizer", "encoder", "objective"), TRIPLES)
def test_what_fits_trains_saves_loads_and_answers(
    tmp_path: Path, song: Path, tokenizer: str, encoder: str, objective: str
) -> None:
    run = lmkit.pretrain(
        {
            "tokenizer": {"use": tokenizer, **TOKENIZERS[tokenizer]},
            "data": {"train": [str(song)], "document": "line"},
            "encoder": {"use": encoder, **ENCODERS[encoder]},
            "objective": {"use": objective, **OBJECTIVES[objective]},
            "train": {
                "steps": 3,
                "block_tokens": 32,
                "batch_tokens": 256,
                "precision": "fp32",
                "compile": "off",
                "threads": 1,
            },
        },
        run=tmp_path / "run",
        quiet=True,
    )
    losses = [record["loss"] for record in read_metrics(run.folder / "metrics.jsonl") if "loss" in record]
    assert losses
    assert all(map(math.isfinite, losses))
    again = lmkit.load(run.folder)
    text = "Robin Hood stood"
    assert again.encode(text).hidden.equal(run.encode(text).hidden)
    kinds = {"fill-mask": "token", "completion": "next-token", "translation": "seq2seq"}
    for task, kind in kinds.items():
        if again.head_kind == kind or (again.head_kind == "masked-next-token" and task != "translation"):
            asked = f"{text} [MASK]." if task == "fill-mask" else text
            [answer] = again.predict([asked], task=task)
            assert "error" not in answer
            assert [answer] == list(run.predict([asked], task=task))


def test_the_matrix_says_the_same() -> None:
    found = matrix(default_registry())
    pairs = {
        (pair.first, pair.second): pair.reason
        for name in ("tokenizer x objective", "objective x encoder")
        for pair in found["tables"][name]
    }
    for encoder in ENCODERS:
        for objective in (*OBJECTIVES, "seq2seq"):
            across = objective in (*ACROSS, "seq2seq")
            reason = pairs[objective, encoder]
            assert bool(reason) == (across and encoder != "t5"), reason
            assert not reason or "needs an encoder that reads a context" in reason
    assert "fim_prefix" in pairs["wordpiece", "fim"]
    assert "mark_0" in pairs["wordpiece", "span-denoising"]
    for tokenizer in ("bpe", "unigram", "bytes"):
        assert not any(pairs[tokenizer, objective] for objective in (*OBJECTIVES, "seq2seq"))
    everywhere = len(OBJECTIVES) - len(ACROSS)  # and those that read across, and "seq2seq", on one encoder
    of_wordpiece = (everywhere - 1) * len(ENCODERS) + 1
    assert found["triples"] == 3 * (everywhere * len(ENCODERS) + 2) + of_wordpiece
    reads = {(p.first, p.second): p.reason for p in found["tables"]["objective x task"]}
    assert not reads["hybrid", "fill-mask"]
    assert not reads["hybrid", "completion"]
    assert "reads heads of kind" in reads["clm", "fill-mask"]
    refused = {(p.first, p.second) for p in found["tables"]["task x encoder"] if p.reason}
    assert refused == {("translation", encoder) for encoder in ENCODERS if encoder != "t5"}
