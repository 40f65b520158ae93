"""The same weights give the states and the logits of transformers' Qwen3."""

import numpy as np
import pytest
import torch
import transformers
from lmkit_gpt.clm import CausalConfig, CausalLanguageModelling
from lmkit_gpt.qwen3 import Qwen3, Qwen3Config

from lmkit.batch import Example, pack
from lmkit.interfaces import Vocabulary
from lmkit.parts.renaming import from_transformers, to_transformers
from lmkit.testing import Check, conformance

VOCABULARY = Vocabulary(size=90, special={"pad": 0, "bos": 1, "eos": 1}, word_starts=np.ones(90, bool))
LENGTHS = (5, 40, 1, 9, 12)


def shuffled(module: Qwen3) -> Qwen3:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2 + 0.05)
    return module.eval()


@pytest.mark.parametrize(("heads", "key_heads", "head_width"), [(4, 2, 8), (4, 4, 16), (6, 1, 4)])
def test_states_and_logits_are_those_of_transformers(heads: int, key_heads: int, head_width: int) -> None:
    config = Qwen3Config(layers=2, width=32, heads=heads, key_heads=key_heads, head_width=head_width, feed_forward=48)
    encoder = shuffled(Qwen3(config, VOCABULARY))
    head = CausalLanguageModelling(CausalConfig(), VOCABULARY).build_head(encoder)
    model = transformers.Qwen3ForCausalLM(
        transformers.Qwen3Config(
            vocab_size=VOCABULARY.size,
            hidden_size=config.width,
            intermediate_size=config.inner,
            num_hidden_layers=config.layers,
            num_attention_heads=heads,
            num_key_value_heads=key_heads,
            head_dim=head_width,
            rope_parameters={"rope_type": "default", "rope_theta": config.theta},
            tie_word_embeddings=True,
            attn_implementation="eager",
        )
    ).eval()
    weights = to_transformers(encoder.transformers_names(), encoder.state_dict())
    body = {f"model.{name}": weight for name, weight in weights.items()}
    model.load_state_dict(body | {"lm_head.weight": weights["embed_tokens.weight"]}, strict=True)
    rng = np.random.default_rng(0)
    examples = [Example(tokens=rng.integers(2, 90, n), lengths=(n,)) for n in LENGTHS]
    packed, starts = pack(examples, attention="causal", filler=0)
    assert packed.rows < len(examples), "several sequences should share a row"
    with torch.no_grad():
        states = encoder(packed)
        logits = head(states, encoder.token_embedding.weight)
        assert states.std() > 0.1
        for example, start in zip(examples, starts, strict=True):
            alone = model(input_ids=torch.from_numpy(example.tokens)[None], output_hidden_states=True)
            own = slice(start, start + len(example.tokens))
            torch.testing.assert_close(states[own], alone.hidden_states[-1][0], atol=1e-5, rtol=0)
            torch.testing.assert_close(logits[own], alone.logits[0], atol=2e-5, rtol=0)
    again = from_transformers(encoder.transformers_names(), weights)
    assert all(torch.equal(again[name], weight) for name, weight in encoder.state_dict().items())


@pytest.mark.parametrize("check", conformance(Qwen3, Qwen3Config(layers=2, width=32, heads=2, head_width=16)))
def test_qwen3_conforms(check: Check) -> None:
    check()


def test_heads_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="heads 4 is not a multiple of key_heads 3"):
        Qwen3Config(heads=4, key_heads=3)
    with pytest.raises(ValueError, match="head_width 7 is odd"):
        Qwen3Config(head_width=7)
