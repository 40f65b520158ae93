"""Folders of transformers become runs: native where lmkit has the architecture, general where it has not."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

import lmkit
from tests.run.exports import pretrained
from tests.run.labelled import TRAIN, recipe, rows, write

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
IDS = torch.tensor([[7, 8, 9, 10, 11, 12]])


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with the files of a tokenizer."""
    folders = {}
    for encoder in ("bert", "gpt2"):
        folder = tmp_path_factory.mktemp(encoder)
        run = pretrained(folder, encoder, {"bert": "mlm", "gpt2": "clm"}[encoder])
        (folder / "tokenizer").mkdir()
        run.tokenizer.save(folder / "tokenizer")
        folders[encoder] = folder / "tokenizer"
    return folders


def stored(folder: Path, tokenizer: Path, name: str, **fields: Any) -> PreTrainedModel:
    """A random model of a class of transformers, saved with a tokenizer."""
    size = len(transformers.AutoTokenizer.from_pretrained(tokenizer))
    torch.manual_seed(1)
    cls = getattr(transformers, name)
    model = cls(cls.config_class(vocab_size=size, pad_token_id=0, **fields)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape) * 0.05)
    model.save_pretrained(folder)
    for file in tokenizer.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return model


def hidden(run: lmkit.Run, attention: Any) -> torch.Tensor:
    from lmkit.batch import Example, pack

    inputs, _ = pack([Example(tokens=IDS[0].numpy(), lengths=(6,))], attention=attention, filler=0)
    with torch.no_grad():
        states: torch.Tensor = run.module.encoder(inputs)[:6]
    return states


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
    "DistilBertForMaskedLM": ("bert", "token", _DISTIL),
    "DistilBertModel": ("bert", "embedding", _DISTIL),
    "MPNetForMaskedLM": ("bert", "token", {**SMALL, "max_position_embeddings": 64}),
    "ErnieForMaskedLM": ("bert", "token", {**SMALL, "hidden_act": "relu"}),
    "ElectraForMaskedLM": ("bert", "token", {**SMALL, "embedding_size": 32}),
    "DebertaV2ForMaskedLM": ("bert", "token", SMALL),
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


def test_an_imported_run_is_asked_fine_tuned_and_read_on(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    stored(tmp_path / "theirs", tokenizers["bert"], "BertForPreTraining", **SMALL)
    with pytest.warns(UserWarning, match=r": cls\.seq_relationship\.bias, .* have no place here: left out"):
        run = lmkit.import_model(tmp_path / "theirs", run=tmp_path / "run")
    assert run.fill("Robin [MASK] stood")["masks"]
    assert run.encode("Robin stood").hidden.shape[-1] == 32
    tuned = lmkit.finetune(run, recipe(write(tmp_path / "rows.jsonl", rows())), run=tmp_path / "tuned", quiet=True)
    assert tuned.predict(["The old fox was good."]).__next__()["label"] in ("good", "bad")
    song = tmp_path / "song.txt"
    song.write_text("Robin Hood in greenwood stood, and under a tree was he.\n" * 40)
    table = {
        "tokenizer": {"use": "wordpiece"},
        "data": {"train": [str(song)], "document": "line"},
        "encoder": {"use": "bert", "width": 32, "layers": 2, "heads": 2, "feed_forward": 48},
        "objective": {"use": "mlm"},
        "train": {**TRAIN, "steps": 2, "block_tokens": 32, "batch_tokens": 256},
    }
    on = lmkit.pretrain(table, run=tmp_path / "on", start_from=run, quiet=True)
    assert on.step == 2
    with pytest.raises(lmkit.RunError, match="imported, so there is no training to go on with"):
        lmkit.resume(tmp_path / "run")


def test_folders_that_cannot_be_read_are_told_and_leave_nothing(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    folder = tmp_path / "theirs"
    stored(folder, tokenizers["bert"], "BertForMaskedLM", **SMALL)
    good = (folder / "config.json").read_text()

    def refused(error: type[Exception], match: str) -> None:
        with pytest.raises(error, match=match):
            lmkit.import_model(folder, run=tmp_path / "run")
        assert not (tmp_path / "run").exists()

    with pytest.raises(lmkit.RunError, match="no such folder"):
        lmkit.import_model(tmp_path / "absent", run=tmp_path / "run")
    with pytest.raises(lmkit.DataError, match="hub:nobody/nothing: cannot be fetched"):  # tests are offline
        lmkit.import_model("hub:nobody/nothing", run=tmp_path / "run")
    (folder / "config.json").write_text(json.dumps({**json.loads(good), "auto_map": {"AutoModel": "code.Model"}}))
    refused(lmkit.FitError, "code of its own")
    (folder / "config.json").write_text("{")
    refused(lmkit.DataError, r"config\.json")
    (folder / "config.json").write_text(json.dumps({**json.loads(good), "model_type": "nobody"}))
    refused(lmkit.DataError, r"config\.json.*nobody")
    (folder / "config.json").write_text(json.dumps({**json.loads(good), "hidden_size": 64}))
    refused(lmkit.DataError, "model.safetensors")
    (folder / "config.json").write_text(good)
    weights = {name: weight.clone() for name, weight in load_file(folder / "model.safetensors").items()}
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:200])
    refused(lmkit.DataError, "model.safetensors")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    refused(lmkit.DataError, "a .bin file is a pickle")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "tokenizer.json").unlink()
    refused(lmkit.DataError, r"no tokenizer\.json")


def test_missing_weights_are_told(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    stored(tmp_path / "theirs", tokenizers["bert"], "BertForMaskedLM", **SMALL)
    stored_weights = load_file(tmp_path / "theirs/model.safetensors")
    weights = {name: weight.clone() for name, weight in stored_weights.items()}
    del weights["bert.encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "theirs/model.safetensors", metadata={"format": "pt"})
    with pytest.warns(UserWarning, match=r"it has no encoder\.layer\.1\.output\.dense\.weight"):
        lmkit.import_model(tmp_path / "theirs", run=tmp_path / "run")


def test_a_model_with_more_rows_than_tokens_keeps_them(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    model = stored(tmp_path / "theirs", tokenizers["gpt2"], "GPT2LMHeadModel", n_embd=32, n_layer=1, n_head=2)
    model.resize_token_embeddings(512)
    model.save_pretrained(tmp_path / "theirs")
    run = lmkit.import_model(tmp_path / "theirs", run=tmp_path / "run")
    assert (run.tokenizer.name, run.tokenizer.vocabulary.size) == ("transformers", 512)
    again = lmkit.load(tmp_path / "run")
    assert np.array_equal(again.tokenizer.encode("Robin Hood").ids, run.tokenizer.encode("Robin Hood").ids)
    assert again.complete("Robin", max_new_tokens=3)["text"].startswith("Robin")


def test_what_a_person_names_is_fetched_without_pickles(
    tmp_path: Path, tokenizers: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(tmp_path / "theirs", tokenizers["bert"], "BertForMaskedLM", **SMALL)
    asked = []

    def snapshot(name: str, *, allow_patterns: list[str], ignore_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(tmp_path / "theirs")

    monkeypatch.setattr("lmkit_transformers.format.snapshot_download", snapshot)
    with pytest.warns(UserWarning, match="it has no pooler"):
        run = lmkit.import_model("hub:somebody/bert", run=tmp_path / "run")
    assert asked == [("somebody/bert", ["*.json", "*.safetensors"])]
    assert run.head_kind == "token"
    assert 'path = "hub:somebody/bert"' in (tmp_path / "run" / "config.toml").read_text()


def test_nothing_but_safetensors_beside_an_index_is_read(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    stored(tmp_path / "theirs", tokenizers["bert"], "BertForMaskedLM", **SMALL)
    index = tmp_path / "theirs" / "model.safetensors.index.json"
    for name in ("weights.bin", "../elsewhere.safetensors", "/etc/passwd"):
        index.write_text(json.dumps({"metadata": {}, "weight_map": {"cls.predictions.bias": name}}))
        with pytest.raises(lmkit.DataError, match=r"index\.json: names .*; expected a \.safetensors file beside it"):
            lmkit.import_model(tmp_path / "theirs", run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_models_in_shards_and_in_bf16_are_read(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    model = stored(tmp_path / "theirs", tokenizers["gpt2"], "GPT2LMHeadModel", n_embd=32, n_layer=2, n_head=2)
    (tmp_path / "theirs/model.safetensors").unlink()
    model.bfloat16().save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    assert len(list((tmp_path / "theirs").glob("*.safetensors"))) > 1
    run = lmkit.import_model(tmp_path / "theirs", run=tmp_path / "run")
    weight = run.module.encoder.token_embedding.weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, model.transformer.wte.weight.float())


def test_what_would_be_read_in_another_way_is_refused(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    stored(tmp_path / "theirs", tokenizers["gpt2"], "MistralModel", **SMALL, num_key_value_heads=1)
    with pytest.raises(lmkit.FitError, match='a "mistral" whose layers see a window only'):
        lmkit.import_model(tmp_path / "theirs", run=tmp_path / "run")
    stored(tmp_path / "t5", tokenizers["gpt2"], "T5Model", d_model=32, d_kv=16, d_ff=48, num_layers=1, num_heads=2)
    with pytest.raises(lmkit.FitError, match="a t5 is imported with its head only, of kind seq2seq"):
        lmkit.import_model(tmp_path / "t5", run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_of_one_number_is_a_regression(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    stored(tmp_path / "theirs", tokenizers["bert"], "BertForSequenceClassification", **SMALL, num_labels=1)
    run = lmkit.import_model(tmp_path / "theirs", run=tmp_path / "run")
    assert run.head_kind == "regress"


def test_a_model_with_one_type_of_segment_reads_pairs(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    stored(tmp_path / "theirs", tokenizers["bert"], "RobertaModel", **SMALL, type_vocab_size=1)
    run = lmkit.import_model(tmp_path / "theirs", run=tmp_path / "run")
    assert run.head_kind == "embedding"
    stored(tmp_path / "reward", tokenizers["gpt2"], "LlamaForSequenceClassification", **SMALL, num_key_value_heads=1)
    with pytest.warns(UserWarning, match="no head like that of LlamaForSequenceClassification"):
        assert lmkit.import_model(tmp_path / "reward", run=tmp_path / "other").head_kind == "embedding"
