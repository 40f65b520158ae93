import attrs
import numpy as np
import pytest
import torch
import transformers
from lmkit_bert.bert import Bert, BertConfig
from lmkit_bert.mlm import MaskedConfig, MaskedLanguageModelling
from torch import nn

from lmkit.batch import Attention, Example, Packed, pack
from lmkit.interfaces import Vocabulary
from lmkit.parts.renaming import from_transformers, to_transformers

VOCABULARY = Vocabulary(
    size=90, special={"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}, word_starts=np.ones(90, bool)
)
LENGTHS = (5, 17, 1, 9, 12)
ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "relu": "relu", "silu": "silu"}
HEAD = {
    "bias": "cls.predictions.bias",
    "dense.weight": "cls.predictions.transform.dense.weight",
    "dense.bias": "cls.predictions.transform.dense.bias",
    "norm.weight": "cls.predictions.transform.LayerNorm.weight",
    "norm.bias": "cls.predictions.transform.LayerNorm.bias",
}


def shuffled(module: nn.Module) -> nn.Module:
    """Every weight random, norms and biases too, so that no two of them can be mistaken for each other."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3 + 0.1)
    return module.eval()


@pytest.fixture(scope="module")
def bert() -> Bert:
    encoder = Bert(BertConfig(layers=2, width=32, heads=4, feed_forward=48, positions=1024), VOCABULARY)
    shuffled(encoder)
    return encoder


def theirs(encoder: Bert) -> transformers.BertConfig:
    config = encoder.config
    return transformers.BertConfig(
        vocab_size=VOCABULARY.size,
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.num_heads,
        intermediate_size=config.feed_forward,
        max_position_embeddings=config.positions,
        hidden_act=ACTIVATIONS[config.activation],
        attn_implementation="eager",
    )


def sequences(count: int = len(LENGTHS), seed: int = 0) -> list[Example]:
    rng = np.random.default_rng(seed)
    return [
        Example(tokens=rng.integers(5, 90, n), lengths=(n,), segments=np.sort(rng.integers(0, 2, n)))
        for n in LENGTHS[:count]
    ]


def padded(examples: list[Example]) -> dict[str, torch.Tensor]:
    """The same sequences as transformers reads them: a rectangle, and a mask of what is real."""
    shape = len(examples), max(LENGTHS)
    batch = {name: np.zeros(shape, np.int64) for name in ("input_ids", "token_type_ids", "attention_mask")}
    for row, example in enumerate(examples):
        length = len(example.tokens)
        batch["input_ids"][row, :length] = example.tokens
        batch["token_type_ids"][row, :length] = example.segments
        batch["attention_mask"][row, :length] = 1
    return {name: torch.from_numpy(array) for name, array in batch.items()}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_same_weights_give_the_states_and_the_pooled_states_of_transformers(activation: str) -> None:
    config = BertConfig(layers=2, width=32, heads=4, feed_forward=48, positions=64, activation=activation)  # type: ignore[arg-type]
    encoder = Bert(config, VOCABULARY)
    shuffled(encoder)
    model = transformers.BertModel(theirs(encoder)).eval()
    model.load_state_dict(to_transformers(encoder.transformers_names(), encoder.state_dict()), strict=True)
    examples = sequences()
    packed, starts = pack(examples, attention="bidirectional", filler=0)
    assert packed.rows < len(examples), "several sequences should share a row"
    with torch.no_grad():
        states, pooled = encoder(packed), encoder.pool(encoder(packed), packed)
        wanted = model(**padded(examples))
    assert states.std() > 0.1
    for row, (example, start) in enumerate(zip(examples, starts, strict=True)):
        length = len(example.tokens)
        torch.testing.assert_close(
            states[start : start + length], wanted.last_hidden_state[row, :length], atol=1e-5, rtol=0
        )
    torch.testing.assert_close(pooled, wanted.pooler_output, atol=1e-5, rtol=0)


def test_same_weights_give_the_logits_of_transformers(bert: Bert) -> None:
    objective = MaskedLanguageModelling(MaskedConfig(), VOCABULARY)
    head = shuffled(objective.build_head(bert))
    model = transformers.BertForMaskedLM(theirs(bert)).eval()
    weights = to_transformers(bert.transformers_names(), bert.state_dict())
    body = {f"bert.{name}": weight for name, weight in weights.items() if not name.startswith("pooler.")}
    top = {HEAD[name]: weight for name, weight in head.state_dict().items()}
    tied = {
        "cls.predictions.decoder.weight": bert.token_embedding.weight,
        "cls.predictions.decoder.bias": head.get_parameter("bias"),
    }
    model.load_state_dict(body | top | tied, strict=True)
    examples = sequences()
    packed, starts = pack(examples, attention="bidirectional", filler=0)
    with torch.no_grad():
        logits = head(bert(packed), bert.token_embedding.weight)
        wanted = model(**padded(examples)).logits
    for row, (example, start) in enumerate(zip(examples, starts, strict=True)):
        length = len(example.tokens)
        torch.testing.assert_close(logits[start : start + length], wanted[row, :length], atol=1e-5, rtol=1e-6)


def test_weights_come_back_from_transformers_bit_for_bit(bert: Bert) -> None:
    model = transformers.BertModel(theirs(bert))
    model.load_state_dict(to_transformers(bert.transformers_names(), bert.state_dict()), strict=True)
    back = from_transformers(bert.transformers_names(), model.state_dict())
    assert back.keys() == bert.state_dict().keys()
    assert all(torch.equal(back[name], weight) for name, weight in bert.state_dict().items())


@pytest.mark.parametrize("row_tokens", [64, 1024])
@pytest.mark.parametrize("attention", ["bidirectional", "causal", "mixed"])
def test_a_sequence_changes_no_state_of_its_neighbours(bert: Bert, attention: Attention, row_tokens: int) -> None:
    """Not by a bit, whichever kernel reads rows of this length."""
    examples = [attrs.evolve(example, capacity=0) for example in sequences()]
    examples.append(Example(tokens=np.arange(5, 9), lengths=(4,), capacity=row_tokens))
    reach = [np.full(len(e.tokens), len(e.tokens) // 2) for e in examples] if attention == "mixed" else None
    packed, starts = pack(examples, attention=attention, filler=0, reach=reach)
    changed, length = int(starts[1]), LENGTHS[1]
    neighbours = torch.ones(packed.tokens.numel(), dtype=torch.bool)
    neighbours[changed : changed + length] = False
    tokens = packed.tokens.clone()
    tokens[changed : changed + length] = 5 + (tokens[changed : changed + length] + 7) % 85
    with torch.no_grad():
        before, after = bert(packed), bert(attrs.evolve(packed, tokens=tokens))
    assert packed.row_tokens == row_tokens
    assert packed.rows == 2, "the changed sequence should have neighbours in its row"
    assert torch.equal(before[neighbours], after[neighbours])
    assert not torch.isclose(before[~neighbours], after[~neighbours]).all(-1).any()


@pytest.mark.parametrize("filler", [64, 1024])
def test_packed_and_alone_are_the_same(bert: Bert, filler: int) -> None:
    examples = sequences()
    packed, starts = pack(
        [*examples, Example(tokens=np.arange(5, 9), lengths=(4,), capacity=filler)], attention="bidirectional", filler=0
    )
    with torch.no_grad():
        together = bert(packed)
        for example, start in zip(examples, starts, strict=False):
            alone = bert(pack([example], attention="bidirectional", filler=0)[0])[: len(example.tokens)]
            torch.testing.assert_close(together[start : start + len(example.tokens)], alone, atol=1e-5, rtol=0)


def test_causal_states_do_not_depend_on_later_tokens(bert: Bert) -> None:
    packed, _ = pack(sequences(2), attention="causal", filler=0)
    with torch.no_grad():
        before = bert(packed)
        for place in (1, 8, 16):
            after = bert(changed_from(packed, LENGTHS[0] + place))
            assert torch.equal(before[: LENGTHS[0] + place], after[: LENGTHS[0] + place])
            assert not torch.equal(before[LENGTHS[0] + place], after[LENGTHS[0] + place])


def changed_from(packed: Packed, place: int) -> Packed:
    tokens = packed.tokens.clone()
    tokens[place:] = 5 + (tokens[place:] + 7) % 85
    return attrs.evolve(packed, tokens=tokens)


def test_a_smaller_bert_keeps_the_size_of_a_head(bert: Bert) -> None:
    smaller = bert.smaller(0.5)
    assert (smaller.width, smaller.num_heads, smaller.layers) == (16, 2, 2)
    assert Bert(smaller, VOCABULARY).width == 16


def test_query_key_and_value_are_three_matrices_to_muon(bert: Bert) -> None:
    roles = bert.roles()
    assert roles.keys() == dict(bert.named_parameters()).keys()
    assert roles["blocks.0.qkv.weight"] == "hidden/3"
    assert roles["token_embedding.weight"] == "embedding"
    assert {roles["norm.weight"], roles["blocks.1.inner.bias"]} == {"scalar"}


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^width 100 is not a multiple of heads 3$"):
        BertConfig(width=100, heads=3)
