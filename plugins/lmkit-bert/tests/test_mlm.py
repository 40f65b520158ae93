import numpy as np
import pytest
import torch
from lmkit_bert.bert import Bert, BertConfig
from lmkit_bert.mlm import MaskedConfig, MaskedLanguageModelling

from lmkit.batch import Example
from lmkit.errors import FitError
from lmkit.interfaces import Vocabulary

SPECIAL = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
VOCABULARY = Vocabulary(size=60, special=SPECIAL, word_starts=np.ones(60, bool))


@pytest.fixture(scope="module")
def bert() -> Bert:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Bert(BertConfig(layers=1, width=16, heads=2, positions=64), VOCABULARY)


def objective(**config: float) -> MaskedLanguageModelling:
    return MaskedLanguageModelling(MaskedConfig(**config), VOCABULARY)


def blocks(count: int = 6, length: int = 40, capacity: int = 48) -> list[Example]:
    rng = np.random.default_rng(1)
    return [
        Example(
            tokens=np.concatenate([[2], rng.integers(5, 60, length - 2), [3]]),
            lengths=(length,),
            key=(1, 0, number),
            capacity=capacity,
        )
        for number in range(count)
    ]


def test_targets_are_what_stood_at_the_scored_places() -> None:
    given = blocks()
    batch = objective(rate=0.3).collate(given, progress=0.0)
    assert batch.counts == {"mlm": 6 * round(0.3 * 38)}
    assert batch.tokens == 240
    whole = np.concatenate([np.pad(e.tokens, (0, 8)) for e in given])
    used = batch.weights > 0
    assert batch.counts["mlm"] == used.sum()
    assert batch.targets[used].tolist() == whole[batch.scored[used].numpy()].tolist()
    assert not (batch.targets[used] < 5).any()
    masked = batch.inputs.tokens.numpy() != whole
    assert set(np.flatnonzero(masked)) <= set(batch.scored[used].tolist())
    assert (batch.inputs.tokens == 4).sum() > 0.5 * used.sum()


def test_what_happens_to_an_example_depends_on_its_key_alone() -> None:
    given = blocks()
    together = objective().collate(given, progress=0.0).inputs.tokens.view(6, 48)
    again = objective().collate(given[::-1], progress=0.0).inputs.tokens.view(6, 48).flip(0)
    alone = torch.cat([objective().collate([e], progress=0.0).inputs.tokens.view(1, 48) for e in given])
    assert torch.equal(together, again)
    assert torch.equal(together, alone)


def test_scored_places_keep_their_number_whatever_the_blocks_hold() -> None:
    """Static shapes: a shorter block leaves slots unused."""
    full, short = (objective().collate(blocks(length=n), progress=0.0) for n in (48, 12))
    assert full.scored.shape == short.scored.shape == (6 * 16,)  # 0.3 x 48 = 14, in eights
    assert full.counts["mlm"] > short.counts["mlm"] == int(short.weights.sum())
    rows = objective().collate(blocks(capacity=0), progress=0.0)
    assert len(rows.scored) % 64 == 0


def test_the_rate_goes_in_a_straight_line_and_validation_has_its_own() -> None:
    config = MaskedConfig(rate=0.4, final_rate=0.2)
    assert [config.rate_at(p) for p in (0.0, 0.5, 1.0)] == pytest.approx([0.4, 0.3, 0.2])
    assert MaskedConfig(rate=0.4).rate_at(1.0) == 0.4
    assert {MaskedConfig(rate=rate).rate_at(None) for rate in (0.2, 0.5)} == {0.15}
    counts = [objective(rate=0.4, final_rate=0.2).collate(blocks(), progress=p).counts["mlm"] for p in (0, 1, None)]
    assert counts == [6 * 15, 6 * 8, 6 * 6]


def test_the_loss_of_two_batches_is_the_sum_of_theirs(bert: Bert) -> None:
    mlm = objective()
    head = mlm.build_head(bert)
    given = blocks()
    whole = mlm.loss(bert, head, mlm.collate(given, progress=0.0))["mlm"]
    parts = [mlm.loss(bert, head, mlm.collate(part, progress=0.0))["mlm"] for part in (given[:2], given[2:])]
    torch.testing.assert_close(whole, sum(parts), rtol=1e-5, atol=0)
    packed = mlm.loss(bert, head, mlm.collate(blocks(capacity=0), progress=0.0))["mlm"]
    torch.testing.assert_close(whole, packed, rtol=1e-5, atol=0)


def test_validation_measures_the_same_loss_and_the_accuracy(bert: Bert) -> None:
    mlm = objective()
    head = mlm.build_head(bert)
    batch = mlm.collate(blocks(), progress=None)
    measured, loss = mlm.measure(bert, head, batch), mlm.loss(bert, head, batch)
    torch.testing.assert_close(measured["mlm"], loss["mlm"], rtol=1e-5, atol=0)
    assert 0 <= measured["mlm.accuracy"] <= batch.counts["mlm"]
    with torch.no_grad():  # a head that always says 7
        head.get_parameter("bias")[7] = 1e4
    right = int(((batch.targets == 7) & (batch.weights > 0)).sum())
    assert mlm.measure(bert, head, batch)["mlm.accuracy"] == right


def test_a_tokenizer_without_a_mask_is_refused() -> None:
    plain = Vocabulary(size=9, special={"pad": 0}, word_starts=np.ones(9, bool))
    with pytest.raises(FitError) as raised:
        MaskedLanguageModelling(MaskedConfig(), plain)
    assert str(raised.value) == 'objective "mlm" needs a tokenizer with a mask token; this one has none'


def test_shares_beyond_the_whole_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^masked 0.8 and random 0.3 are more than 1 together$"):
        MaskedConfig(random=0.3)
