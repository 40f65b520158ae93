import attrs
import numpy as np
import pytest
import torch
import transformers
from lmkit_gpt.clm import CausalConfig, CausalLanguageModelling
from lmkit_gpt.gpt2 import Gpt2, Gpt2Config
from torch import nn

from lmkit.batch import Attention, Example, pack
from lmkit.interfaces import Vocabulary
from lmkit.parts.renaming import from_transformers, to_transformers
from lmkit.parts.scoring import likelihoods

VOCABULARY = Vocabulary(size=90, special={"pad": 0, "bos": 1, "eos": 1}, word_starts=np.ones(90, bool))
LENGTHS = (5, 17, 1, 9, 12)
ACTIVATIONS = {"gelu_tanh": "gelu_new", "gelu": "gelu", "relu": "relu", "silu": "silu"}


def shuffled(module: nn.Module) -> nn.Module:
    """Every weight random, norms and biases too, so that no two of them can be mistaken for each other."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2 + 0.05)
    return module.eval()


@pytest.fixture(scope="module")
def gpt2() -> Gpt2:
    encoder = Gpt2(Gpt2Config(layers=2, width=32, heads=4, feed_forward=48), VOCABULARY)
    shuffled(encoder)
    return encoder


def theirs(encoder: Gpt2) -> transformers.GPT2Config:
    config = encoder.config
    return transformers.GPT2Config(
        vocab_size=VOCABULARY.size,
        n_embd=config.width,
        n_layer=config.layers,
        n_head=config.num_heads,
        n_inner=config.feed_forward,
        n_positions=config.positions,
        activation_function=ACTIVATIONS[config.activation],
        bos_token_id=1,
        eos_token_id=1,
        attn_implementation="eager",
    )


def sequences(count: int = len(LENGTHS)) -> list[Example]:
    rng = np.random.default_rng(0)
    return [Example(tokens=rng.integers(2, 90, n), lengths=(n,)) for n in LENGTHS[:count]]


def padded(examples: list[Example]) -> dict[str, torch.Tensor]:
    """The same sequences as transformers reads them: a rectangle, and a mask of what is real."""
    shape = len(examples), max(LENGTHS)
    batch = {name: np.zeros(shape, np.int64) for name in ("input_ids", "attention_mask")}
    for row, example in enumerate(examples):
        batch["input_ids"][row, : len(example.tokens)] = example.tokens
        batch["attention_mask"][row, : len(example.tokens)] = 1
    return {name: torch.from_numpy(array) for name, array in batch.items()}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_same_weights_give_the_states_and_the_logits_of_transformers(activation: str) -> None:
    encoder = Gpt2(
        Gpt2Config(layers=2, width=32, heads=4, feed_forward=48, positions=64, activation=activation),  # type: ignore[arg-type]
        VOCABULARY,
    )
    shuffled(encoder)
    head = CausalLanguageModelling(CausalConfig(), VOCABULARY).build_head(encoder)
    assert not list(head.parameters()), "GPT-2's head is its embedding and nothing else"
    model = transformers.GPT2LMHeadModel(theirs(encoder)).eval()
    weights = to_transformers(encoder.transformers_names(), encoder.state_dict())
    body = {f"transformer.{name}": weight for name, weight in weights.items()}
    model.load_state_dict(body | {"lm_head.weight": weights["wte.weight"]}, strict=True)
    examples = sequences()
    packed, starts = pack(examples, attention="causal", filler=0)
    assert packed.rows < len(examples), "several sequences should share a row"
    with torch.no_grad():
        states = encoder(packed)
        logits = head(states, encoder.token_embedding.weight)
        wanted = model(**padded(examples), output_hidden_states=True)
    assert states.std() > 0.1
    for row, (example, start) in enumerate(zip(examples, starts, strict=True)):
        ours, its = slice(start, start + len(example.tokens)), slice(len(example.tokens))
        torch.testing.assert_close(states[ours], wanted.hidden_states[-1][row, its], atol=1e-5, rtol=0)
        torch.testing.assert_close(logits[ours], wanted.logits[row, its], atol=1e-5, rtol=1e-6)


def test_log_likelihoods_are_those_of_transformers(gpt2: Gpt2) -> None:
    head = CausalLanguageModelling(CausalConfig(), VOCABULARY).build_head(gpt2)
    model = transformers.GPT2LMHeadModel(theirs(gpt2)).eval()
    weights = to_transformers(gpt2.transformers_names(), gpt2.state_dict())
    body = {f"transformer.{name}": weight for name, weight in weights.items()}
    model.load_state_dict(body | {"lm_head.weight": weights["wte.weight"]}, strict=True)
    texts = [example.tokens for example in sequences() if len(example.tokens) > 1]
    counted = [np.ones(len(ids), bool) for ids in texts]
    found = likelihoods(gpt2, head, VOCABULARY, texts, counted, batch_tokens=40)
    for ids, value in zip(texts, found, strict=True):
        tokens = torch.from_numpy(ids)[None]
        with torch.no_grad():
            mean_loss = float(model(input_ids=tokens, labels=tokens).loss)
        assert value == pytest.approx(-mean_loss * (len(ids) - 1), rel=1e-5)


def test_weights_come_back_from_transformers_bit_for_bit(gpt2: Gpt2) -> None:
    model = transformers.GPT2Model(theirs(gpt2))
    model.load_state_dict(to_transformers(gpt2.transformers_names(), gpt2.state_dict()), strict=True)
    back = from_transformers(gpt2.transformers_names(), model.state_dict())
    assert back.keys() == gpt2.state_dict().keys()
    assert all(torch.equal(back[name], weight) for name, weight in gpt2.state_dict().items())


@pytest.mark.parametrize("row_tokens", [64, 1024])
@pytest.mark.parametrize("attention", ["causal", "bidirectional", "mixed"])
def test_a_sequence_changes_no_state_of_its_neighbours(gpt2: Gpt2, attention: Attention, row_tokens: int) -> None:
    """Not by a bit, whichever kernel reads rows of this length."""
    examples = [*sequences(), Example(tokens=np.arange(5, 9), lengths=(4,), capacity=row_tokens)]
    reach = [np.full(len(e.tokens), len(e.tokens) // 2) for e in examples] if attention == "mixed" else None
    packed, starts = pack(examples, attention=attention, filler=0, reach=reach)
    changed = slice(int(starts[1]), int(starts[1]) + LENGTHS[1])
    neighbours = torch.ones(packed.tokens.numel(), dtype=torch.bool)
    neighbours[changed] = False
    tokens = packed.tokens.clone()
    tokens[changed] = 2 + (tokens[changed] + 7) % 88
    with torch.no_grad():
        before, after = gpt2(packed), gpt2(attrs.evolve(packed, tokens=tokens))
    assert packed.row_tokens == row_tokens
    assert packed.rows == 2, "the changed sequence should have neighbours in its row"
    assert torch.equal(before[neighbours], after[neighbours])
    assert not torch.isclose(before[~neighbours], after[~neighbours]).all(-1).any()


@pytest.mark.parametrize("length", [24, 200])
def test_causal_states_do_not_depend_on_later_tokens(gpt2: Gpt2, length: int) -> None:
    """Rows of 24 and of 200 tokens are read by different kernels."""
    tokens = np.random.default_rng(0).integers(2, 90, length)
    packed, _ = pack([Example(tokens=tokens, lengths=(length,))], attention="causal", filler=0)
    with torch.no_grad():
        before = gpt2(packed)
        for place in (1, length // 2, length - 1):
            changed = packed.tokens.clone()
            changed[place:] = 2 + (changed[place:] + 7) % 88
            after = gpt2(attrs.evolve(packed, tokens=changed))
            assert torch.equal(before[:place], after[:place])
            assert not torch.equal(before[place], after[place])


def test_residual_layers_start_smaller_the_more_there_are() -> None:
    encoder = Gpt2(Gpt2Config(layers=8, width=64, heads=1), VOCABULARY)
    deviations = {name: weight.std().item() for name, weight in encoder.named_parameters() if weight.ndim == 2}
    assert deviations["blocks.3.inner.weight"] == pytest.approx(0.02, rel=0.1)
    assert deviations["blocks.3.outer.weight"] == pytest.approx(0.02 / 4, rel=0.1)
    assert deviations["blocks.3.attention_out.weight"] == pytest.approx(0.02 / 4, rel=0.1)


def test_a_smaller_gpt2_keeps_the_size_of_a_head(gpt2: Gpt2) -> None:
    smaller = gpt2.smaller(0.25)
    assert (smaller.width, smaller.num_heads, smaller.layers) == (8, 1, 2)


def test_query_key_and_value_are_three_matrices_to_muon(gpt2: Gpt2) -> None:
    roles = gpt2.roles()
    assert roles.keys() == dict(gpt2.named_parameters()).keys()
    assert roles["blocks.1.qkv.weight"] == "hidden/3"
    assert roles["position_embedding.weight"] == "embedding"
    assert {roles["norm.bias"], roles["blocks.0.qkv.bias"]} == {"scalar"}


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^width 100 is not a multiple of heads 3$"):
        Gpt2Config(width=100, heads=3)
