"""Masked and causal rows in one batch, against each kind by its own definition."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lmkit_bert.bert import Bert, BertConfig
from lmkit_hybrid.hybrid import Hybrid, HybridConfig

from lmkit.batch import Example, pack
from lmkit.errors import FitError
from lmkit.interfaces import Vocabulary

SPECIAL = {"pad": 0, "cls": 1, "sep": 2, "mask": 3}
VOCABULARY = Vocabulary(size=60, special=SPECIAL, word_starts=np.ones(60, bool))


@pytest.fixture(scope="module")
def bert() -> Bert:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Bert(BertConfig(layers=1, width=16, heads=2, positions=64), VOCABULARY)


def blocks(count: int) -> list[Example]:
    rng = np.random.default_rng(1)
    return [Example(tokens=rng.integers(4, 60, 14), lengths=(9, 5), capacity=16, key=(7, n)) for n in range(count)]


def test_both_sums_are_those_of_each_kind_alone(bert: Bert) -> None:
    """Rows are read apart, by their own attention, and predicted from the position before."""
    hybrid = Hybrid(HybridConfig(causal_share=0.5), VOCABULARY)
    given, head = blocks(12), hybrid.build_head(bert)
    batch = hybrid.collate(given, progress=0.0)
    found = hybrid.loss(bert, head, batch)
    wanted, counts = {"masked": 0.0, "causal": 0.0}, {"masked": 0, "causal": 0}
    rows = batch.inputs.tokens.view(-1, 16).numpy()
    for example, row in zip(given, rows, strict=True):
        read = row[:14]
        kind = "masked" if (read == SPECIAL["mask"]).any() else "causal"
        at = 0
        for length in example.lengths:
            now, then = read[at : at + length], example.tokens[at : at + length]
            alone, _ = pack(
                [Example(tokens=now, lengths=(length,))],
                attention="bidirectional" if kind == "masked" else "causal",
                filler=0,
            )
            scores = head(bert(alone)[: length - 1], bert.token_embedding.weight)
            losses = F.cross_entropy(scores, torch.from_numpy(then[1:]), reduction="none")
            used = batch.masked_at if kind == "masked" else batch.causal_at
            weights = batch.masked_weights if kind == "masked" else batch.causal_weights
            start = int(np.flatnonzero((rows == row).all(1))[0]) * 16 + at
            scored = [i for i in range(length - 1) if start + i in used[weights > 0].tolist()]
            if kind == "causal":
                assert scored == list(range(length - 1))
            wanted[kind] += losses[scored].sum().item()
            counts[kind] += len(scored)
            at += length
    assert batch.counts == counts
    assert min(counts.values()) > 0
    for kind, value in wanted.items():
        assert found[kind].item() == pytest.approx(value, rel=1e-5)


def test_each_row_chooses_by_itself_as_often_as_asked() -> None:
    hybrid = Hybrid(HybridConfig(causal_share=0.25), VOCABULARY)
    given = blocks(2000)
    batch = hybrid.collate(given, progress=0.5)
    rows = (batch.inputs.reach.view(-1, 16)[:, 0] == 0).sum()  # a causal row's first token sees itself alone
    assert int(rows) == pytest.approx(500, abs=4 * np.sqrt(2000 * 0.25 * 0.75))
    alone = sum(hybrid.collate([one], progress=0.5).counts["causal"] > 0 for one in given[:200])
    assert alone == int((batch.inputs.reach.view(-1, 16)[:200, 0] == 0).sum())


def test_validation_reads_every_block_in_both_ways() -> None:
    batch = Hybrid(HybridConfig(), VOCABULARY).collate(blocks(3), progress=None)
    assert batch.inputs.rows == 6
    assert batch.tokens == 3 * 14
    assert batch.counts["causal"] == 3 * (8 + 4)
    assert 0 < batch.counts["masked"] <= 3 * 2


def test_a_vocabulary_without_a_mask_is_refused() -> None:
    plain = Vocabulary(size=60, special={"pad": 0}, word_starts=np.ones(60, bool))
    with pytest.raises(FitError, match="needs a tokenizer with a mask token"):
        Hybrid(HybridConfig(), plain)
