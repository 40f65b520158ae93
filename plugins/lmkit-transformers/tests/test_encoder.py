"""Encoder "transformers": it conforms, it says what it cannot, and it computes what transformers computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from lmkit_transformers.encoder import AnyEncoder, AnyEncoderConfig

from lmkit.batch import Attention, Example, pack
from lmkit.errors import FitError
from lmkit.testing import Check, conformance
from lmkit.testing.reference import ByteTokenizer

VOCABULARY = ByteTokenizer(ByteTokenizer.Config()).vocabulary
LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
ROBERTA = {key: value for key, value in LLAMA.items() if key != "num_key_value_heads"}
ROBERTA |= {"model_type": "roberta", "max_position_embeddings": 600}

FNET = {key: value for key, value in ROBERTA.items() if key != "num_attention_heads"} | {"model_type": "fnet"}


@pytest.mark.parametrize("check", conformance(AnyEncoder, AnyEncoderConfig(config=LLAMA)))
def test_a_decoder_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(AnyEncoder, AnyEncoderConfig(config=ROBERTA)))
def test_an_encoder_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("table", [LLAMA, ROBERTA], ids=["llama", "roberta"])
def test_sequences_that_share_a_row_are_read_as_transformers_reads_each(table: dict[str, Any]) -> None:
    torch.manual_seed(1)
    encoder = AnyEncoder(AnyEncoderConfig(config=table), VOCABULARY).eval()
    rng = np.random.default_rng(1)
    examples = [Example(tokens=rng.integers(5, 200, n), lengths=(n,)) for n in (17, 9, 6, 1)]
    attention: Any = "causal" if table is LLAMA else "bidirectional"
    inputs, starts = pack(examples, attention=attention, filler=VOCABULARY.special["pad"])
    assert inputs.rows < len(examples)
    with torch.no_grad():
        hidden = encoder(inputs)
        for example, start in zip(examples, starts, strict=True):
            alone = encoder.model(torch.from_numpy(example.tokens)[None]).last_hidden_state[0]
            assert torch.allclose(hidden[start : start + len(example.tokens)], alone, atol=1e-5)


def test_attention_that_an_architecture_has_not_is_refused() -> None:
    """T5 and other models of two halves too, and code that would come with a model."""
    encoder = AnyEncoder(AnyEncoderConfig(config=LLAMA), VOCABULARY)
    assert encoder.able == {"bidirectional", "causal", "mixed"}
    encoder.able = frozenset({"causal"})  # as of an architecture that heeds no mask
    inputs, _ = pack([Example(tokens=np.array([7, 8, 9]), lengths=(3,))], attention="bidirectional", filler=0)
    with pytest.raises(FitError, match='a "llama" of transformers reads with causal attention, not bidirectional'):
        encoder(inputs)
    with pytest.raises(FitError, match='a "fnet" has no mask that lmkit could use: '):
        AnyEncoder(AnyEncoderConfig(config=FNET), VOCABULARY)
    with pytest.raises(FitError, match='a "t5" is not one stack'):
        AnyEncoder(AnyEncoderConfig(config={"model_type": "t5"}), VOCABULARY)
    with pytest.raises(FitError, match="auto_map"):
        AnyEncoder(AnyEncoderConfig(config={**LLAMA, "auto_map": {"AutoModel": "a.B"}}), VOCABULARY)
    with pytest.raises(FitError, match=r"config: .*nobody"):
        AnyEncoder(AnyEncoderConfig(config={"model_type": "nobody"}), VOCABULARY)
    with pytest.raises(FitError, match="hidden_size"):
        AnyEncoder(AnyEncoderConfig(config={**LLAMA, "hidden_size": "32"}), VOCABULARY)


@pytest.mark.parametrize("key", ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"])
@pytest.mark.parametrize("size", [0, -1])
def test_a_size_below_one_is_refused(key: str, size: int) -> None:
    with pytest.raises(FitError, match="config: "):
        AnyEncoder(AnyEncoderConfig(config={**LLAMA, key: size}), VOCABULARY)


@pytest.mark.parametrize("size", [0, -1])
def test_positions_below_one_are_refused(size: int) -> None:
    with pytest.raises(FitError, match=f"config: max_position_embeddings is {size}, expected 1 or more"):
        AnyEncoder(AnyEncoderConfig(config={**ROBERTA, "max_position_embeddings": size}), VOCABULARY)


def test_keys_that_an_architecture_does_not_know_are_told() -> None:
    with pytest.warns(UserWarning, match='a "llama" of transformers knows no num_hidden_layer$'):
        AnyEncoder(AnyEncoderConfig(config={**LLAMA, "num_hidden_layer": 3}), VOCABULARY)
    AnyEncoder(AnyEncoderConfig(config=LLAMA, null=("pad_token_id",)), VOCABULARY)
    for key in ("vocab_size", "model_type", "hidden_size"):
        with pytest.raises(ValueError, match=f"null: {key} cannot be null"):
            AnyEncoderConfig(config=LLAMA, null=(key,))


def test_architectures_that_know_a_mask_of_fillers_only_read_as_they_always_do() -> None:
    mamba = {"model_type": "mamba", "hidden_size": 32, "num_hidden_layers": 1, "state_size": 4}
    mpnet = {**ROBERTA, "model_type": "mpnet"}
    cases: list[tuple[dict[str, Any], Attention]] = [(mamba, "causal"), (mpnet, "bidirectional")]
    for table, able in cases:
        encoder = AnyEncoder(AnyEncoderConfig(config=table), VOCABULARY).eval()
        assert encoder.able == {able}
        examples = [Example(tokens=np.arange(5, 5 + n), lengths=(n,)) for n in (9, 4)]
        inputs, starts = pack(examples, attention=able, filler=VOCABULARY.special["pad"])
        with torch.no_grad():
            alone = encoder.model(torch.arange(5, 9)[None]).last_hidden_state[0]
            assert torch.allclose(encoder(inputs)[starts[1] : starts[1] + 4], alone, atol=1e-5)


def test_a_config_remembers_the_file_that_it_is_from(tmp_path: Any) -> None:
    encoder = AnyEncoder(AnyEncoderConfig(config=LLAMA), VOCABULARY)
    encoder.architecture.save_pretrained(tmp_path)
    config = AnyEncoderConfig(file=tmp_path, config={"num_hidden_layers": 1})
    assert config.file is None
    assert (config.config["model_type"], config.config["num_hidden_layers"]) == ("llama", 1)
    assert len(AnyEncoder(config, VOCABULARY).layers) == 1
    with pytest.raises(ValueError, match="cannot be read"):
        AnyEncoderConfig(file=tmp_path / "absent.json")
    with pytest.raises(ValueError, match="model_type is missing"):
        AnyEncoderConfig(config={"hidden_size": 3})
