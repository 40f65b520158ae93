"""Folders of transformers become runs: what they may lack, what is told, what is refused, and what follows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

import lmkit
from tests.run.imports import SMALL, stored
from tests.run.labelled import TRAIN, recipe, rows, write


def test_an_imported_run_is_asked_fine_tuned_and_read_on(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    stored(tmp_path / "theirs", tokenizers["bert"], "BertForPreTraining", **SMALL)
    with pytest.warns(UserWarning, match=r": no place here for cls\.seq_relationship\.bias, .*: left out"):
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
    blank = {**weights, "cls.predictions.bias": torch.full_like(weights["cls.predictions.bias"], torch.nan)}
    save_file(blank, folder / "model.safetensors", metadata={"format": "pt"})
    refused(lmkit.DataError, r"cls\.predictions\.bias in model\.safetensors has values that are not numbers")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    refused(lmkit.DataError, "a .bin file is a pickle")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    stored_tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = stored_tokenizer["model"]["vocab"]
    vocabulary |= {f"word{number}": len(vocabulary) + number for number in range(5)}
    (folder / "tokenizer.json").write_text(json.dumps(stored_tokenizer))
    refused(lmkit.DataError, r"its tokenizer has ids to \d+, its model embeds \d+")
    (folder / "tokenizer.json").unlink()
    refused(lmkit.DataError, r"no tokenizer\.json")
    (folder / "config.json").unlink()
    refused(lmkit.DataError, r"no config\.json")


@pytest.mark.parametrize("changed", ["pairs", "segments", "normalizer", "flags", "roles"])
def test_a_tokenizer_that_is_nearly_lmkits_own_is_read_as_it_is(
    tmp_path: Path, tokenizers: dict[str, Path], changed: str
) -> None:
    folder = tmp_path / "theirs"
    stored(folder, tokenizers["bert"], "BertModel", **SMALL)
    pipeline, config = (json.loads((folder / f"{name}.json").read_text()) for name in ("tokenizer", "tokenizer_config"))
    pair = pipeline["post_processor"]["pair"]
    if changed == "pairs":
        place = next(n for n, part in enumerate(pair) if part.get("Sequence", {}).get("id") == "B")
        pair.insert(place, pair[place - 1])  # another [SEP]
    elif changed == "segments":
        for part in pair:
            next(iter(part.values()))["type_id"] = 0
    elif changed == "normalizer":
        pipeline["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFKC"}, pipeline["normalizer"]]}
    elif changed == "flags":
        next(token for token in pipeline["added_tokens"] if token["content"] == "[MASK]")["lstrip"] ^= True
    else:
        config["mask_token"] = "[UNK]"
    (folder / "tokenizer.json").write_text(json.dumps(pipeline))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    theirs = AutoTokenizer.from_pretrained(folder)
    ours = lmkit.import_model(folder, run=tmp_path / "run").tokenizer
    assert (ours.name == "transformers") == (changed != "normalizer")  # which lmkit's own takes from the file
    assert ours.vocabulary.special["mask"] == theirs.mask_token_id
    first, second = "Robin  [MASK] Hood \u2460", "drew his bow"
    wrapped = ours.wrap(ours.encode(first).ids, ours.encode(second).ids)
    wanted = theirs(first, second)
    assert wrapped.ids.tolist() == wanted["input_ids"]
    assert wrapped.segments is not None
    assert wrapped.segments.tolist() == wanted["token_type_ids"]


def test_missing_weights_are_told(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    stored(tmp_path / "theirs", tokenizers["bert"], "BertForMaskedLM", **SMALL)
    stored_weights = load_file(tmp_path / "theirs/model.safetensors")
    weights = {name: weight.clone() for name, weight in stored_weights.items()}
    del weights["bert.encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "theirs/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(lmkit.DataError, match=r"lacks weights of the encoder, encoder\.layer\.1\.output\.dense"):
        lmkit.import_model(tmp_path / "theirs", run=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    model = load_file(tmp_path / "theirs/model.safetensors") | stored_weights
    del model["cls.predictions.transform.dense.weight"]
    save_file(model, tmp_path / "theirs/model.safetensors", metadata={"format": "pt"})
    with pytest.warns(UserWarning, match=r"it has no pooler.*, dense\.weight: these are as they were drawn"):
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
    [(name, patterns)] = asked
    assert name == "somebody/bert"
    assert not {"*", "*.bin", "*.py", "*.pkl", "*.txt"} & set(patterns)
    assert {"*.json", "*.safetensors", "vocab.txt"} <= set(patterns)
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
