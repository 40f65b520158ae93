"""A generator fills masks in, a discriminator tells its tokens from the text's own: each against its definition."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lmkit_bert.bert import Bert, BertConfig
from lmkit_electra.heads import inverse_cdf
from lmkit_electra.rtd import ElectraConfig, ReplacedTokenDetection

import lmkit
from lmkit.batch import Example
from lmkit.errors import FitError
from lmkit.interfaces import Encoder, Vocabulary
from lmkit.model import build_model
from lmkit.testing.reference import ReferenceEncoder

SPECIAL = {"pad": 0, "cls": 1, "sep": 2, "mask": 3}
VOCABULARY = Vocabulary(size=60, special=SPECIAL, word_starts=np.ones(60, bool))
RTD = ReplacedTokenDetection(ElectraConfig(generator=0.5), VOCABULARY)
SMALL = BertConfig(layers=2, width=32, heads=4, positions=64)


@pytest.fixture(scope="module")
def bert() -> Bert:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Bert(SMALL, VOCABULARY)


def blocks(count: int) -> list[Example]:
    rng = np.random.default_rng(1)
    return [Example(tokens=rng.integers(4, 60, 14), lengths=(14,), capacity=16, key=(7, n)) for n in range(count)]


def test_the_discriminator_reads_what_the_generator_drew(bert: Bert) -> None:
    """Whatever it drew, unmasked tokens are the text's own, and a token that was drawn right is not "replaced"."""
    head, batch = RTD.build_head(bert), RTD.collate(blocks(40), progress=0.0)
    assert batch.counts == {"generator": 40 * 2, "discriminator": 40 * 14}
    seen: list[torch.Tensor] = []
    bert.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].tokens))
    _, logits, replaced = RTD._both(bert, head, batch, ElectraConfig())
    bert._forward_pre_hooks.clear()
    [tokens] = seen
    at = batch.scored[batch.weights > 0]
    masked = torch.zeros(len(tokens), dtype=torch.bool)
    masked[at] = True
    assert torch.equal(tokens[~masked], batch.original[~masked])
    assert torch.equal(replaced, (tokens != batch.original).float())
    assert replaced[at].mean() > 0.5
    assert (batch.inputs.tokens[at] == SPECIAL["mask"]).all()
    assert torch.equal(batch.original.view(40, 16)[:, :14], torch.from_numpy(np.stack([e.tokens for e in blocks(40)])))
    losses = F.binary_cross_entropy_with_logits(logits, replaced, reduction="none")
    found = RTD.loss(bert, head, batch)["discriminator"]
    torch.testing.assert_close(found, losses.view(40, 16)[:, :14].sum())


def test_the_generator_is_smaller_and_borrows_the_embedding(bert: Bert) -> None:
    head = RTD.build_head(bert)
    assert head.generator.width == 16
    assert not any("token_embedding.weight" in name for name in head.state_dict())
    batch = RTD.collate(blocks(4), progress=0.0)
    sums = RTD.loss(bert, head, batch)
    (slope,) = torch.autograd.grad(sums["generator"], bert.token_embedding.weight)
    assert slope.abs().sum() > 0
    learns = [weight for weight in head.generator.parameters() if weight.requires_grad]
    grads = torch.autograd.grad(sums["discriminator"], learns, allow_unused=True)
    assert all(g is None for g in grads), "the discriminator's loss does not reach the generator"
    roles = RTD.head_roles(head)
    assert roles.keys() == dict(head.named_parameters()).keys()
    assert roles["generator.blocks.0.qkv.weight"] == "hidden/3"


def test_a_model_and_its_copy_are_apart() -> None:
    model = build_model(Bert, SMALL, RTD, VOCABULARY, seed=1, longest=16)
    other = copy.deepcopy(model)
    assert other.head.generator.token_embedding._shared[0] is other.encoder.token_embedding
    assert other.encoder.token_embedding is not model.encoder.token_embedding


def test_drawing_is_by_the_softmax() -> None:
    torch.manual_seed(0)
    features, embedding, bias = torch.randn(1, 8), torch.randn(11, 8), torch.randn(11)
    uniforms = (torch.arange(5000) + 0.5) / 5000
    drawn = inverse_cdf(features.expand(5000, 8), embedding, bias, uniforms)
    wanted = (features @ embedding.t() + bias).softmax(-1)[0]
    torch.testing.assert_close(torch.bincount(drawn, minlength=11) / 5000, wanted, atol=4e-4, rtol=0)


def test_an_encoder_that_has_no_smaller_one_is_refused() -> None:
    class Fixed(ReferenceEncoder):
        name = "fixed"
        smaller = Encoder.smaller

    with pytest.raises(FitError, match='encoder "fixed" does not say how to make a smaller one'):
        build_model(Fixed, ReferenceEncoder.Config(), RTD, VOCABULARY, seed=1, longest=16)


def test_it_learns_and_its_encoder_can_be_fine_tuned(tmp_path) -> None:
    song = [f"the {a} fox and the {b} dog saw {c} geese ." for a in "abcd" for b in "efgh" for c in ("two", "ten")]
    (tmp_path / "song.txt").write_text("\n".join(song * 8))
    train = {"precision": "fp32", "compile": "off", "threads": 1, "learning_rate": 0.005}
    run = lmkit.pretrain(
        {
            "tokenizer": {"use": "wordpiece", "vocab_size": 300},
            "data": {"train": [str(tmp_path / "song.txt")], "document": "line", "validation": 0.1},
            "encoder": {"use": "bert", "layers": 1, "width": 32, "heads": 2, "positions": 64},
            "objective": {"use": "rtd", "generator": 0.5},
            "train": {**train, "steps": 120, "block_tokens": 32, "batch_tokens": 512},
        },
        run=tmp_path / "run",
        quiet=True,
    )
    found = lmkit.evaluate(run, text=[tmp_path / "song.txt"])["text"]
    assert found["discriminator.accuracy"] > 0.9
    rows = [{"text": line, "label": "two" if "two" in line else "ten"} for line in song]
    recipe = {
        "task": {"use": "classification"},
        "data": {"train": []},
        "train": {**train, "steps": 60, "batch_tokens": 512},
    }
    (tmp_path / "rows.csv").write_text("text,label\n" + "".join(f"{r['text']},{r['label']}\n" for r in rows))
    recipe["data"]["train"] = [str(tmp_path / "rows.csv")]
    tuned = lmkit.finetune(run, recipe, run=tmp_path / "tuned", quiet=True)
    assert lmkit.evaluate(tuned, rows=rows)["rows"]["accuracy"] > 0.9
    again = lmkit.load(tmp_path / "run")
    assert lmkit.evaluate(again, text=[tmp_path / "song.txt"])["text"] == found
