"""Architectures of transformers become runs with their heads: native where lmkit has them, general where it has not."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import lmkit
from lmkit.config import read
from tests.run.imports import IDS, SMALL, hidden, stored
from tests.run.labelled import TRAIN, recipe, rows, write

NATIVE: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "BertForPreTraining": ("bert", "bert", "token", {**SMALL, "hidden_act": "gelu_new"}),
    "BertModel": ("bert", "bert", "embedding", SMALL),
    "GPT2LMHeadModel": ("gpt2", "gpt2", "next-token", {"n_embd": 32, "n_layer": 2, "n_head": 2}),
    "GPT2Model": ("gpt2", "gpt2", "embedding", {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_inner": 40}),
    "ModernBertForMaskedLM": ("bert", "modernbert", "token", {**SMALL, "global_attn_every_n_layers": 2}),
    "Qwen3ForCausalLM": (
        "gpt2",
        "qwen3",
        "next-token",
        {**SMALL, "num_key_value_heads": 1, "head_dim": 8, "tie_word_embeddings": True},
    ),
    "BertForTokenClassification": ("bert", "bert", "tag", {**SMALL, "id2label": {0: "O", 1: "B-PER", 2: "I-PER"}}),
}


@pytest.mark.parametrize("name", NATIVE)
def test_architectures_that_lmkit_has_become_its_own(tmp_path: Path, tokenizers: dict[str, Path], name: str) -> None:
    tokenizer, encoder, kind, fields = NATIVE[name]
    model = stored(tmp_path / "theirs", tokenizers[tokenizer], name, **fields)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = lmkit.import_model(tmp_path / "theirs", run=tmp_path / "run")
    assert (run.parts.encoder.component.name, run.head_kind) == (encoder, kind)
    with torch.no_grad():
        theirs = model.base_model(IDS).last_hidden_state[0]
    causal = encoder in ("gpt2", "qwen3")
    assert torch.allclose(hidden(run, "causal" if causal else "bidirectional"), theirs, atol=1e-5)
    if name in ("BertForPreTraining", "BertModel"):
        assert torch.equal(run.module.encoder.pooling.weight, model.base_model.pooler.dense.weight)
    if kind == "tag":
        assert run.parts.labels == ("O", "B-PER", "I-PER")


_DISTIL = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48}
GENERAL: dict[str, tuple[str, str, dict[str, Any]]] = {
    "LlamaForCausalLM": ("gpt2", "next-token", {**SMALL, "num_key_value_heads": 1, "tie_word_embeddings": True}),
    "MistralForCausalLM": ("gpt2", "next-token", {**SMALL, "num_key_value_heads": 1, "sliding_window": None}),
    "GPTNeoXForCausalLM": ("gpt2", "next-token", {**SMALL, "tie_word_embeddings": False}),
    "LlamaModel": ("gpt2", "embedding", SMALL),
    "RobertaForMaskedLM": ("bert", "token", {**SMALL, "max_position_embeddings": 64}),
    "XLMRobertaForMaskedLM": ("bert", "token", {**SMALL, "max_position_embeddings": 64}),
    "CamembertForMaskedLM": ("bert", "token", {**SMALL, "max_position_embeddings": 64}),
    "XLMRobertaXLForMaskedLM": ("bert", "token", {**SMALL, "max_position_embeddings": 64}),
    "DebertaForMaskedLM": ("bert", "token", SMALL),
    "DistilBertForMaskedLM": ("bert", "token", _DISTIL),
    "DistilBertModel": ("bert", "embedding", _DISTIL),
    "MPNetForMaskedLM": ("bert", "token", {**SMALL, "max_position_embeddings": 64}),
    "ErnieForMaskedLM": ("bert", "token", {**SMALL, "hidden_act": "relu"}),
    "ElectraForMaskedLM": ("bert", "token", {**SMALL, "embedding_size": 32}),
    "DebertaV2ForMaskedLM": ("bert", "token", SMALL),
    "RobertaForSequenceClassification": ("bert", "classify", {**SMALL, "max_position_embeddings": 64, "num_labels": 3}),
    "XLMRobertaForSequenceClassification": (
        "bert",
        "regress",
        {**SMALL, "max_position_embeddings": 64, "num_labels": 1},
    ),
    "CamembertForTokenClassification": ("bert", "tag", {**SMALL, "max_position_embeddings": 64, "num_labels": 3}),
    "RobertaForQuestionAnswering": ("bert", "span", {**SMALL, "max_position_embeddings": 64}),
    "MPNetForSequenceClassification": ("bert", "classify", {**SMALL, "max_position_embeddings": 64, "num_labels": 3}),
    "XLMRobertaXLForSequenceClassification": (
        "bert",
        "classify",
        {**SMALL, "max_position_embeddings": 64, "num_labels": 3},
    ),
    "ErnieForSequenceClassification": ("bert", "classify", {**SMALL, "num_labels": 3}),
    "DistilBertForTokenClassification": ("bert", "tag", {**_DISTIL, "num_labels": 3}),
    "DistilBertForQuestionAnswering": ("bert", "span", _DISTIL),
    "ElectraForTokenClassification": ("bert", "tag", {**SMALL, "embedding_size": 32, "num_labels": 3}),
    "DebertaV2ForQuestionAnswering": ("bert", "span", SMALL),
    "BertForMaskedLM": ("bert", "token", {**SMALL, "type_vocab_size": 4}),
}
"""The last is one that lmkit's own encoder does not read."""


@pytest.mark.parametrize("name", GENERAL)
def test_other_architectures_are_read_as_they_are(tmp_path: Path, tokenizers: dict[str, Path], name: str) -> None:
    tokenizer, kind, fields = GENERAL[name]
    model = stored(tmp_path / "theirs", tokenizers[tokenizer], name, **fields)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = lmkit.import_model(tmp_path / "theirs", run=tmp_path / "run")
    assert (run.parts.encoder.component.name, run.head_kind) == ("transformers", kind)
    assert any("type_vocab_size is 4" in str(one.message) for one in said) == ("type_vocab_size" in fields)
    with torch.no_grad():
        theirs = model.base_model(IDS).last_hidden_state[0]
    assert torch.allclose(hidden(run, "causal" if tokenizer == "gpt2" else "bidirectional"), theirs, atol=1e-5)
    found = lmkit.export(run, to="transformers", out=tmp_path / "again")
    assert found["class"] == name
    before, after = load_file(tmp_path / "theirs/model.safetensors"), load_file(tmp_path / "again/model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(after[key], weight) for key, weight in before.items())


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "RobertaForMaskedLM", "MPNetForMaskedLM"])
def test_other_architectures_are_fine_tuned_and_read_on(tmp_path: Path, tokenizers: dict[str, Path], name: str) -> None:
    tokenizer, kind, fields = GENERAL[name]
    stored(tmp_path / "theirs", tokenizers[tokenizer], name, **fields)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of poolers that the folder has not
        run = lmkit.import_model(tmp_path / "theirs", run=tmp_path / "run")
    table = recipe(write(tmp_path / "rows.jsonl", rows()))
    table["task"]["attention"] = "causal" if kind == "next-token" else "bidirectional"
    tuned = lmkit.finetune(run, table, run=tmp_path / "tuned", quiet=True)
    assert next(tuned.predict(["The old fox was good."]))["label"] in ("good", "bad")
    song = tmp_path / "song.txt"
    song.write_text("Robin Hood in greenwood stood, and under a tree was he.\n" * 40)
    parts = {part: read(tmp_path / "run" / "config.toml")[part] for part in ("tokenizer", "encoder", "objective")}
    more = {"data": {"train": [str(song)], "document": "line"}}
    more["train"] = {**TRAIN, "steps": 2, "block_tokens": 32, "batch_tokens": 256}
    assert lmkit.pretrain({**parts, **more}, run=tmp_path / "on", start_from=run, quiet=True).step == 2


UNTIED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Qwen3ForCausalLM": ("qwen3", "gpt2", {**SMALL, "num_key_value_heads": 1, "tie_word_embeddings": False}),
    "T5ForConditionalGeneration": (  # as T5 1.1 and Flan-T5, whose configs say it in a way that transformers 5 turns
        "t5",
        "gpt2",
        {
            "d_model": 32,
            "d_kv": 16,
            "d_ff": 48,
            "num_layers": 1,
            "num_heads": 2,
            "decoder_start_token_id": 0,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,
            "eos_token_id": 1,
        },
    ),
    "LlamaForCausalLM": ("transformers", "gpt2", {**SMALL, "tie_word_embeddings": False}),
}


@pytest.mark.parametrize("name", UNTIED)
def test_a_matrix_of_scores_that_is_not_the_embedding_comes_and_leaves(
    tmp_path: Path, tokenizers: dict[str, Path], name: str
) -> None:
    encoder, tokenizer, fields = UNTIED[name]
    model = stored(tmp_path / "theirs", tokenizers[tokenizer], name, **fields)
    output = torch.randn(model.get_output_embeddings().weight.shape, generator=torch.Generator().manual_seed(3))
    model.get_output_embeddings().weight = torch.nn.Parameter(output)
    model.save_pretrained(tmp_path / "theirs")
    config = json.loads((tmp_path / "theirs/config.json").read_text())
    (tmp_path / "theirs/config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    run = lmkit.import_model(tmp_path / "theirs", run=tmp_path / "run")
    assert run.parts.encoder.component.name == encoder
    assert torch.equal(run.module.head.weight, output)
    lmkit.export(run, to="transformers", out=tmp_path / "again")
    before, after = load_file(tmp_path / "theirs/model.safetensors"), load_file(tmp_path / "again/model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(after[key], weight) for key, weight in before.items())
    again = lmkit.load(tmp_path / "run")
    assert torch.equal(again.module.head.weight, output)


def test_a_tokenizer_of_older_files_is_read(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    stored(tmp_path / "theirs", tokenizers["bert"], "BertModel", **SMALL)
    text = "Robin Hood drew his bow, naïvely."
    wanted = lmkit.import_model(tmp_path / "theirs", run=tmp_path / "one").tokenizer
    vocabulary = json.loads((tmp_path / "theirs/tokenizer.json").read_text())["model"]["vocab"]
    (tmp_path / "theirs/vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "theirs" / name).unlink()
    found = lmkit.import_model(tmp_path / "theirs", run=tmp_path / "run").tokenizer
    assert found.vocabulary.special == wanted.vocabulary.special
    assert found.encode(text).ids.tolist() == wanted.encode(text).ids.tolist()


def test_several_rates_of_dropout_become_one_and_it_is_told(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    stored(tmp_path / "theirs", tokenizers["bert"], "BertModel", **SMALL, hidden_dropout_prob=0.2)
    with pytest.warns(
        UserWarning, match=r"attention_probs_dropout_prob 0\.1, hidden_dropout_prob 0\.2; here all by 0\.2"
    ):
        lmkit.import_model(tmp_path / "theirs", run=tmp_path / "run")
