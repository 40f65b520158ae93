"""Minimal pairs by both kinds of head: the scores of transformers' own models, ties, and what cannot be scored."""

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from lmkit_bert.bert import Bert, BertConfig
from lmkit_bert.minimal_pairs import MinimalPairs, MinimalPairsConfig
from lmkit_bert.mlm import MaskedConfig, MaskedLanguageModelling
from lmkit_bert.wordpiece import WordPiece
from torch import nn

from lmkit.parts.heads import VocabularyHead
from lmkit.parts.renaming import to_transformers
from lmkit.testing import TEXTS
from lmkit.testing.reference import Continuing, ReferenceEncoder

PAIRS = [
    {"sentence_good": "The baker sells bread.", "sentence_bad": "The baker sell bread."},
    {"sentence_good": "A man walks down the hill in the morning.", "sentence_bad": "A man walk down the hill."},
    {"sentence_good": "the bells ring", "sentence_bad": "the bell ring"},
]
TOP = {
    "bias": "cls.predictions.bias",
    "dense.weight": "cls.predictions.transform.dense.weight",
    "dense.bias": "cls.predictions.transform.dense.bias",
    "norm.weight": "cls.predictions.transform.LayerNorm.weight",
    "norm.bias": "cls.predictions.transform.LayerNorm.bias",
}


def shuffled(module: nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3 + 0.1)


@pytest.fixture(scope="module")
def wordpiece() -> WordPiece:
    return WordPiece.train(WordPiece.Config(vocab_size=300), TEXTS)


@pytest.fixture(scope="module")
def bert(wordpiece: WordPiece) -> tuple[Bert, VocabularyHead]:
    encoder = Bert(BertConfig(layers=2, width=32, heads=4, feed_forward=48, positions=64), wordpiece.vocabulary)
    head = MaskedLanguageModelling(MaskedConfig(), wordpiece.vocabulary).build_head(encoder)
    shuffled(encoder)
    shuffled(head)
    return encoder.eval(), head.eval()


@pytest.fixture(scope="module")
def causal(wordpiece: WordPiece) -> tuple[ReferenceEncoder, VocabularyHead]:
    encoder = ReferenceEncoder(ReferenceEncoder.Config(), wordpiece.vocabulary)
    head = Continuing(Continuing.Config(), wordpiece.vocabulary).build_head(encoder)
    shuffled(head)
    return encoder.eval(), head.eval()


def compared(model: tuple[Any, VocabularyHead], tokenizer: WordPiece, rows: Any, **config: Any) -> list[dict[str, Any]]:
    task = MinimalPairs(MinimalPairsConfig(**config), tokenizer)
    return list(task.predict(*model, rows, batch_tokens=256))


def test_scores_of_masked_tokens_are_those_of_transformers(
    bert: tuple[Bert, VocabularyHead], wordpiece: WordPiece
) -> None:
    encoder, head = bert
    config = encoder.config
    model = transformers.BertForMaskedLM(
        transformers.BertConfig(
            vocab_size=wordpiece.vocabulary.size,
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.num_heads,
            intermediate_size=config.feed_forward,
            max_position_embeddings=config.positions,
        )
    ).eval()
    weights = to_transformers(encoder.transformers_names(), encoder.state_dict())
    body = {f"bert.{name}": weight for name, weight in weights.items() if not name.startswith("pooler.")}
    top = {TOP[name]: weight for name, weight in head.state_dict().items()}
    tied = {
        "cls.predictions.decoder.weight": encoder.token_embedding.weight,
        "cls.predictions.decoder.bias": head.get_parameter("bias"),
    }
    model.load_state_dict(body | top | tied, strict=True)
    mask = wordpiece.vocabulary.special["mask"]

    def theirs(text: str) -> float:
        ids = wordpiece.wrap(wordpiece.encode(text).ids).ids
        starts = wordpiece.vocabulary.word_starts[ids]
        total = 0.0
        for place in range(1, len(ids) - 1):
            copy = torch.from_numpy(ids.copy())
            copy[place] = mask
            for later in range(place + 1, len(ids)):
                if starts[later]:
                    break
                copy[later] = mask
            with torch.no_grad():
                scores = model(input_ids=copy[None]).logits[0, place].log_softmax(-1)
            total += float(scores[ids[place]])
        return total

    pieces = [wordpiece.vocabulary.word_starts[wordpiece.encode(row["sentence_good"]).ids] for row in PAIRS]
    assert not all(starts.all() for starts in pieces), "some word should have several pieces"
    for row, answer in zip(PAIRS, compared(bert, wordpiece, PAIRS), strict=True):
        assert answer["good"] == pytest.approx(theirs(row["sentence_good"]), rel=1e-5)
        assert answer["bad"] == pytest.approx(theirs(row["sentence_bad"]), rel=1e-5)
        assert answer["prefers"] == ("good" if answer["good"] > answer["bad"] else "bad")


def test_a_causal_head_is_read_from_left_to_right(
    causal: tuple[ReferenceEncoder, VocabularyHead], wordpiece: WordPiece
) -> None:
    encoder, head = causal
    [answer] = compared(causal, wordpiece, PAIRS[:1])
    objective = Continuing(Continuing.Config(), wordpiece.vocabulary)
    [example] = MinimalPairs(MinimalPairsConfig(), wordpiece).examples(PAIRS[0])
    with torch.no_grad():
        loss = objective.loss(encoder, head, objective.collate([example], progress=None))["loss"]
        states = encoder(objective.collate([example], progress=None).inputs)
        scores = head(states, encoder.token_embedding.weight).log_softmax(-1)
    end = float(scores[len(example.tokens) - 2, wordpiece.vocabulary.special["sep"]])  # what wraps does not count
    assert answer["good"] == pytest.approx(-float(loss) - end, rel=1e-5)


def test_equal_sentences_are_a_tie_and_count_half(bert: tuple[Bert, VocabularyHead], wordpiece: WordPiece) -> None:
    text = PAIRS[0]["sentence_good"]
    rows = [{"sentence_good": text, "sentence_bad": text}, *PAIRS]
    answers = compared(bert, wordpiece, rows)
    assert answers[0]["prefers"] == "tie"
    task = MinimalPairs(MinimalPairsConfig(), wordpiece)
    total = {"pairs": 0.0, "right": 0.0, "tied": 0.0}
    for answer, row in zip(answers, rows, strict=True):
        total = {name: total[name] + value for name, value in task.tally(answer, row).items()}
    right = sum(answer["prefers"] == "good" for answer in answers)
    assert task.score(total) == {"accuracy": (right + 0.5) / 4, "ties": 0.25}
    assert task.score({}) == {}


def test_long_sentences_are_read_in_windows_and_too_long_ones_refused(
    bert: tuple[Bert, VocabularyHead], wordpiece: WordPiece
) -> None:
    long = {"sentence_good": "the man " * 40, "sentence_bad": "the moon " * 20}
    [read] = compared(bert, wordpiece, [long])
    assert np.isfinite(read["good"])
    [refused] = compared(bert, wordpiece, [long], longest=70)
    assert "longest is 70: raise it, or shorten the sentence" in refused["error"]


def test_what_has_nothing_to_score_is_told(bert: tuple[Bert, VocabularyHead], wordpiece: WordPiece) -> None:
    rows = [{"sentence_good": "a", "sentence_bad": ""}, {"good": "a"}, *PAIRS[:1]]
    empty, absent, fine = compared(bert, wordpiece, rows)
    assert empty["error"] == 'column "sentence_bad": the sentence has no token to score; write at least two words'
    assert absent["error"] == 'no column "sentence_good"; the row has "good"'
    assert fine == compared(bert, wordpiece, PAIRS[:1])[0]
