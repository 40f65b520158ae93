from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lmkit.batch import Attention, Batch, Example, Packed, pack
from lmkit.errors import FitError
from lmkit.interfaces import Encoder, Objective, Task, Tokenizer, Vocabulary
from lmkit.interfaces.task import Row
from lmkit.model import build_model, check_length, join, why_not, why_not_task

VOCABULARY = Vocabulary(size=12, special={"pad": 0}, word_starts=np.ones(12, bool))


class Blind(Encoder):
    """Looks at nothing but the token itself."""

    name = "blind"
    attention: ClassVar[frozenset[Attention]] = frozenset({"bidirectional"})

    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.width = 4
        self.token_embedding = nn.Embedding(vocabulary.size, 4)
        self.pooling = nn.Linear(4, 4)

    @property
    def longest(self) -> int:
        return 16

    @property
    def pooler(self) -> nn.Module:
        return self.pooling

    def forward(self, inputs: Packed) -> Tensor:
        states: Tensor = self.token_embedding(inputs.tokens)
        return states


class Squares(Objective[Batch]):
    """States are to be small: its head scales them."""

    name = "squares"
    head_kind = "scale"
    attention: Attention = "bidirectional"

    def __init__(self, config: Any, vocabulary: Vocabulary) -> None: ...

    @property
    def weights(self) -> Mapping[str, float]:
        return {"squares": 1.0}

    def build_head(self, encoder: Encoder) -> nn.Module:
        return nn.Linear(encoder.width, 1)

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> Batch:
        inputs, _ = pack(examples, attention=self.attention, filler=0)
        tokens = sum(len(e.tokens) for e in examples)
        return Batch(inputs=inputs, counts={"squares": len(examples)}, tokens=tokens)

    def loss(self, encoder: Encoder, head: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {"squares": head(encoder(batch.inputs)[batch.inputs.first]).square().sum()}


class Pooled(Squares):
    name = "pooled"
    pools = True


class Ahead(Squares):
    name = "ahead"
    attention: Attention = "causal"


class Across(Squares):
    name = "across"
    needs_context = True


class Scales(Task):
    name = "scales"
    reads: ClassVar[frozenset[str]] = frozenset({"scale", "classify"})

    def __init__(self, config: Any, tokenizer: Tokenizer) -> None: ...

    def build_objective(self, labels: Sequence[str]) -> Squares:
        return Squares(None, VOCABULARY)

    def examples(self, row: Row) -> Iterator[Example]:
        yield Example(tokens=np.array(row["tokens"]), lengths=(len(row["tokens"]),))

    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        return iter(rows)


def refusal(objective: type[Squares]) -> str:
    with pytest.raises(FitError) as raised:
        build_model(Blind, None, objective(None, VOCABULARY), VOCABULARY, seed=1, longest=16)
    assert why_not(Blind, objective) == str(raised.value)
    return str(raised.value)


def test_an_attention_that_the_encoder_lacks_is_refused() -> None:
    wanted = 'objective "ahead" needs an encoder with causal attention; encoder "blind" has bidirectional'
    assert refusal(Ahead) == wanted


def test_a_context_that_the_encoder_does_not_read_is_refused() -> None:
    wanted = 'objective "across" needs an encoder that reads a context; encoder "blind" does not'
    assert refusal(Across) == wanted


def test_sequences_longer_than_the_encoder_reads_are_refused() -> None:
    with pytest.raises(FitError) as raised:
        build_model(Blind, None, Squares(None, VOCABULARY), VOCABULARY, seed=1, longest=17)
    assert str(raised.value) == (
        'encoder "blind" reads at most 16 tokens, but train.block_tokens is 17: '
        "lower it, or build the encoder with more positions"
    )
    check_length(Blind(None, VOCABULARY), 16, "a text has")


def test_a_head_that_a_task_does_not_read_is_refused() -> None:
    assert why_not_task(Scales, "scale") is None
    assert why_not_task(Scales, "token") == (
        'task "scales" reads heads of kind classify, scale; this run has a head of kind token'
    )


def test_weights_come_from_the_seed_alone() -> None:
    def weights(seed: int) -> dict[str, Tensor]:
        return build_model(Blind, None, Squares(None, VOCABULARY), VOCABULARY, seed=seed, longest=16).state_dict()

    before = torch.get_rng_state()
    torch.rand(3)
    one = weights(1)
    torch.rand(3)
    again, other = weights(1), weights(2)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)
    torch.set_rng_state(before)
    weights(1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("objective", "learns"), [(Squares, False), (Pooled, True)])
def test_a_pooler_learns_only_where_the_objective_pools(objective: type[Squares], learns: bool) -> None:
    model = join(Blind(None, VOCABULARY), objective(None, VOCABULARY), nn.Linear(4, 1))
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    assert frozen == (set() if learns else {"encoder.pooling.weight", "encoder.pooling.bias"})


def test_a_model_sums_its_objectives_loss() -> None:
    objective = Squares(None, VOCABULARY)
    model = build_model(Blind, None, objective, VOCABULARY, seed=1, longest=16)
    batch = objective.collate([Example(tokens=np.array([n, 2]), lengths=(2,)) for n in (3, 4)], progress=None)
    states = model.encoder.token_embedding.weight[[3, 4]]
    wanted = model.head(states).square().sum()
    torch.testing.assert_close(model(batch), {"squares": wanted})
    torch.testing.assert_close(model.measure(batch), {"squares": wanted})


def test_every_parameter_has_a_role() -> None:
    model = build_model(Blind, None, Squares(None, VOCABULARY), VOCABULARY, seed=1, longest=16)
    assert model.roles() == {
        "encoder.token_embedding.weight": "embedding",
        "encoder.pooling.weight": "hidden",
        "encoder.pooling.bias": "scalar",
        "head.weight": "head",
        "head.bias": "scalar",
    }
    assert model.roles().keys() == dict(model.named_parameters()).keys()


class Stacked(Blind):
    """Two layers between an embedding and a norm."""

    name = "stacked"

    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.blocks = nn.ModuleList([nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)])
        self.norm = nn.LayerNorm(4, bias=False)

    @property
    def layers(self) -> Sequence[nn.Module]:
        return list(self.blocks)


def stacked() -> Any:
    return build_model(Stacked, None, Pooled(None, VOCABULARY), VOCABULARY, seed=1, longest=16)


def test_depths_are_counted_from_the_head() -> None:
    depths = stacked().depths()
    assert depths["encoder.token_embedding.weight"] == 3
    assert (depths["encoder.blocks.0.weight"], depths["encoder.blocks.1.weight"]) == (2, 1)
    assert {depths[n] for n in ("encoder.norm.weight", "encoder.pooling.weight", "head.weight")} == {0}


@pytest.mark.parametrize(
    ("layers", "frozen"),
    [
        (0, set()),
        (1, {"encoder.blocks.0.weight"}),
        (2, {"encoder.blocks.0.weight", "encoder.blocks.1.weight"}),
        ("all", {"encoder.blocks.0.weight", "encoder.blocks.1.weight"}),
    ],
)
def test_the_lowest_layers_are_frozen_with_what_comes_before_them(layers: Any, frozen: set[str]) -> None:
    model = stacked()
    model.freeze(layers)
    below = {"encoder.token_embedding.weight"} if layers else set()
    assert {n for n, p in model.named_parameters() if not p.requires_grad} == frozen | below


def test_more_layers_than_there_are_cannot_be_frozen() -> None:
    with pytest.raises(FitError, match=r'train\.frozen_layers is 3, but encoder "stacked" has 2 layers'):
        stacked().freeze(3)
