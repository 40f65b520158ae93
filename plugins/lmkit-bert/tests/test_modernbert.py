"""The same weights give the states and the logits of transformers' ModernBERT."""

import numpy as np
import pytest
import torch
import transformers
from lmkit_bert.mlm import MaskedConfig, MaskedLanguageModelling
from lmkit_bert.modernbert import ModernBert, ModernBertConfig
from torch import nn

from lmkit.batch import Example, pack
from lmkit.interfaces import Vocabulary
from lmkit.parts.renaming import from_transformers, to_transformers
from lmkit.testing import Check, conformance

SPECIAL = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
VOCABULARY = Vocabulary(size=90, special=SPECIAL, word_starts=np.ones(90, bool))
LENGTHS = (5, 40, 1, 9, 12)
HEAD = {"bias": "decoder.bias", "dense.weight": "head.dense.weight", "norm.weight": "head.norm.weight"}


@pytest.fixture(scope="module")
def modernbert() -> ModernBert:
    config = ModernBertConfig(layers=4, width=32, heads=4, feed_forward=48, window=8, global_every=3)
    return shuffled(ModernBert(config, VOCABULARY))


def shuffled(module: ModernBert) -> ModernBert:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2 + 0.05)
    return module.eval()


def theirs(encoder: ModernBert) -> nn.Module:
    config = encoder.config
    kinds = ["full_attention" if config.is_global(i) else "sliding_attention" for i in range(config.layers)]
    model = transformers.ModernBertForMaskedLM(
        transformers.ModernBertConfig(
            vocab_size=VOCABULARY.size,
            hidden_size=config.width,
            intermediate_size=config.inner,
            num_hidden_layers=config.layers,
            num_attention_heads=config.num_heads,
            local_attention=config.window,
            layer_types=kinds,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=3,
            cls_token_id=2,
            sep_token_id=3,
            attn_implementation="eager",
        )
    )
    return model.eval()


def test_states_and_logits_are_those_of_transformers(modernbert: ModernBert) -> None:
    head = MaskedLanguageModelling(MaskedConfig(), VOCABULARY).build_head(modernbert)
    with torch.no_grad():
        for weight in head.parameters():
            weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)) * 0.2)
    model = theirs(modernbert)
    weights = to_transformers(modernbert.transformers_names(), modernbert.state_dict())
    body = {f"model.{name}": weight for name, weight in weights.items()}
    its_head = {HEAD[name]: weight for name, weight in head.state_dict().items()}
    tied = {"decoder.weight": weights["embeddings.tok_embeddings.weight"]}
    model.load_state_dict(body | its_head | tied, strict=True)
    rng = np.random.default_rng(0)
    examples = [Example(tokens=rng.integers(5, 90, n), lengths=(n,)) for n in LENGTHS]
    packed, starts = pack(examples, attention="bidirectional", filler=0)
    assert packed.rows < len(examples), "several sequences should share a row"
    with torch.no_grad():
        states = modernbert(packed)
        logits = head(states, modernbert.token_embedding.weight)
        assert states.std() > 0.1
        for example, start in zip(examples, starts, strict=True):
            alone = model(input_ids=torch.from_numpy(example.tokens)[None], output_hidden_states=True)
            own = slice(start, start + len(example.tokens))
            torch.testing.assert_close(logits[own], alone.logits[0], atol=1e-5, rtol=0)
    again = from_transformers(modernbert.transformers_names(), weights)
    assert all(torch.equal(again[name], weight) for name, weight in modernbert.state_dict().items())


def test_local_layers_do_not_see_beyond_their_window() -> None:
    config = ModernBertConfig(layers=2, width=16, heads=2, window=4, global_every=2)
    encoder = shuffled(ModernBert(config, VOCABULARY))
    for block in encoder.blocks[:1]:  # the first, which sees all, says nothing
        nn.init.zeros_(block.attention_out.weight)
    tokens = np.arange(10, 30)
    changed = tokens.copy()
    changed[10] = 80
    with torch.no_grad():
        one, other = (
            encoder(pack([Example(tokens=t, lengths=(20,))], attention="bidirectional", filler=0)[0])
            for t in (tokens, changed)
        )
    differs = (one != other).any(-1)[:20].nonzero()[:, 0].tolist()
    assert differs == [8, 9, 10, 11, 12]


@pytest.mark.parametrize("check", conformance(ModernBert))
def test_modernbert_conforms(check: Check) -> None:
    check()
