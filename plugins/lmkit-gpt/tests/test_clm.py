import attrs
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lmkit_gpt.clm import CausalConfig, CausalLanguageModelling
from lmkit_gpt.gpt2 import Gpt2, Gpt2Config

from lmkit.batch import Example, pack
from lmkit.interfaces import Vocabulary

VOCABULARY = Vocabulary(size=60, special={"pad": 0, "eos": 1}, word_starts=np.ones(60, bool))


@pytest.fixture(scope="module")
def gpt2() -> Gpt2:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Gpt2(Gpt2Config(layers=1, width=16, heads=2, positions=64), VOCABULARY)


@pytest.fixture(scope="module")
def clm() -> CausalLanguageModelling:
    return CausalLanguageModelling(CausalConfig(), VOCABULARY)


def blocks(*lengths: tuple[int, ...], capacity: int = 24) -> list[Example]:
    rng = np.random.default_rng(1)
    return [Example(tokens=rng.integers(2, 60, sum(n)), lengths=n, capacity=capacity) for n in lengths]


def test_every_token_but_a_sequences_first_is_scored_from_the_one_before(
    gpt2: Gpt2, clm: CausalLanguageModelling
) -> None:
    """Against a loop over sequences, each read alone."""
    given = blocks((5, 9, 1), (24,), (7,))
    batch = clm.collate(given, progress=0.0)
    assert batch.counts == {"clm": 4 + 8 + 0 + 23 + 6}
    assert batch.tokens == 15 + 24 + 7
    wanted = torch.zeros(())
    for example in given:
        for tokens in np.split(example.tokens, np.cumsum(example.lengths)[:-1]):
            alone, _ = pack([Example(tokens=tokens, lengths=(len(tokens),))], attention="causal", filler=0)
            logits = gpt2(alone)[: len(tokens) - 1] @ gpt2.token_embedding.weight.t()
            wanted = wanted + F.cross_entropy(logits, torch.from_numpy(tokens[1:]), reduction="sum")
    torch.testing.assert_close(clm.loss(gpt2, clm.build_head(gpt2), batch)["clm"], wanted, rtol=1e-5, atol=0)


def test_only_wanted_tokens_are_scored(clm: CausalLanguageModelling) -> None:
    example = Example(tokens=np.arange(10, 18), lengths=(8,), target=np.arange(8) >= 5)
    other = Example(tokens=np.arange(20, 26), lengths=(6,), target=np.ones(6, bool))
    batch = clm.collate([example, other], progress=0.0)
    used = batch.weights > 0
    assert batch.counts == {"clm": 3 + 5}
    assert batch.targets[used].tolist() == [15, 16, 17, 21, 22, 23, 24, 25]
    assert batch.inputs.tokens[batch.scored[used]].tolist() == [14, 15, 16, 20, 21, 22, 23, 24]


def test_the_loss_of_two_batches_is_the_sum_of_theirs(gpt2: Gpt2, clm: CausalLanguageModelling) -> None:
    head = clm.build_head(gpt2)
    given = blocks((5, 9), (24,), (7,), (3, 3, 3))

    def loss(examples: list[Example]) -> torch.Tensor:
        return clm.loss(gpt2, head, clm.collate(examples, progress=0.0))["clm"]

    torch.testing.assert_close(loss(given), loss(given[:1]) + loss(given[1:]), rtol=1e-5, atol=0)
    shared = [attrs.evolve(example, capacity=0) for example in given]
    assert clm.collate(shared, progress=0.0).inputs.rows < 4
    torch.testing.assert_close(loss(given), loss(shared), rtol=1e-5, atol=0)


def test_shapes_do_not_depend_on_what_blocks_hold(clm: CausalLanguageModelling) -> None:
    one, other = (clm.collate(given, progress=0.0) for given in (blocks((24,), (24,)), blocks((2, 3), (9, 9, 1))))
    assert one.scored.shape == other.scored.shape == (48,)
    assert one.inputs.tokens.shape == other.inputs.tokens.shape


def test_a_sequence_of_one_token_scores_nothing(gpt2: Gpt2, clm: CausalLanguageModelling) -> None:
    batch = clm.collate(blocks((1,), capacity=0), progress=0.0)
    assert batch.counts == {"clm": 0}
    assert clm.loss(gpt2, clm.build_head(gpt2), batch)["clm"] == 0
