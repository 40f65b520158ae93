"""The same weights give the states of transformers' T5, encoder and decoder."""

import numpy as np
import pytest
import torch
import transformers
from lmkit_seq2seq.t5 import T5, T5Config

from lmkit.batch import Example, pack
from lmkit.interfaces import Vocabulary
from lmkit.parts.renaming import from_transformers, to_transformers
from lmkit.testing import Check, conformance

VOCABULARY = Vocabulary(size=90, special={"pad": 0, "bos": 1, "eos": 1}, word_starts=np.ones(90, bool))
SOURCES, TARGETS = (5, 40, 3, 9, 12), (7, 2, 30, 1, 9)


def shuffled(module: T5) -> T5:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1 + 0.03)
    return module.eval()


def examples(lengths: tuple[int, ...], seed: int) -> list[Example]:
    rng = np.random.default_rng(seed)
    return [Example(tokens=rng.integers(2, 90, n), lengths=(n,)) for n in lengths]


@pytest.mark.parametrize("gated", [True, False])
def test_states_are_those_of_transformers(gated: bool) -> None:
    config = T5Config(layers=2, width=32, heads=4, head_width=6, feed_forward=48, gated=gated, buckets=8, farthest=16)
    encoder = shuffled(T5(config, VOCABULARY))
    model = transformers.T5Model(
        transformers.T5Config(
            vocab_size=VOCABULARY.size,
            d_model=config.width,
            d_kv=config.head_width,
            d_ff=config.inner,
            num_layers=config.layers,
            num_heads=config.num_heads,
            relative_attention_num_buckets=config.buckets,
            relative_attention_max_distance=config.farthest,
            feed_forward_proj="gated-gelu" if gated else "relu",
            dropout_rate=0.0,
            decoder_start_token_id=0,
            attn_implementation="eager",
        )
    ).eval()
    weights = to_transformers(encoder.transformers_names(), encoder.state_dict())
    tied = {f"{stack}.embed_tokens.weight": weights["shared.weight"] for stack in ("encoder", "decoder")}
    known = model.state_dict().keys()
    model.load_state_dict(weights | {name: w for name, w in tied.items() if name in known}, strict=True)
    sources, targets = examples(SOURCES, 0), examples(TARGETS, 1)
    inputs, starts = pack(targets, attention="causal", filler=0, contexts=sources)
    context = inputs.context
    assert context is not None
    assert inputs.rows < len(targets), "several sequences should share a row"
    with torch.no_grad():
        read = encoder(context)
        states = encoder(inputs)
        assert states.std() > 0.1
        for source, target, source_start, start in zip(sources, targets, context.first, starts, strict=True):
            wanted = model(
                input_ids=torch.from_numpy(source.tokens)[None], decoder_input_ids=torch.from_numpy(target.tokens)[None]
            )
            own = read[source_start : source_start + len(source.tokens)]
            torch.testing.assert_close(own, wanted.encoder_last_hidden_state[0], atol=1e-5, rtol=0)
            own = states[start : start + len(target.tokens)]
            torch.testing.assert_close(own, wanted.last_hidden_state[0], atol=1e-5, rtol=0)
    again = from_transformers(encoder.transformers_names(), weights)
    assert all(torch.equal(again[name], weight) for name, weight in encoder.state_dict().items())


@pytest.mark.parametrize("check", conformance(T5, T5Config(layers=2, width=32, heads=2, head_width=16)))
def test_t5_conforms(check: Check) -> None:
    check()
