"""Words of several pieces, beside a search of all of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from lmkit_bert.bert import Bert, BertConfig
from lmkit_bert.fill_mask import FillMask, FillMaskConfig
from lmkit_bert.wordpiece import WordPiece
from lmkit_bert.words import Hole, WordFiller

from lmkit.batch import Example, pack
from lmkit.interfaces import Vocabulary
from lmkit.parts.heads import VocabularyHead

SIZE, MASK = 14, 4
VOCABULARY = Vocabulary(
    size=SIZE,
    special={"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": MASK},
    word_starts=np.array([True] * 5 + [True] * 5 + [False] * 4),
)
HOLES = [Hole(np.array([2, 6, MASK, 11, 7, 3]), 2), Hole(np.array([2, MASK, 3]), 1)]


@pytest.fixture(scope="module")
def model() -> tuple[Bert, VocabularyHead]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        encoder = Bert(BertConfig(layers=1, width=16, heads=2, positions=16), VOCABULARY)
        for weight in encoder.parameters():
            weight.data *= 6 if weight.ndim == 2 else 1
        return encoder.eval(), VocabularyHead(encoder).eval()


def log_probability(model: tuple[Bert, VocabularyHead], hole: Hole, word: tuple[int, ...]) -> float:
    """Of a word whose pieces are read one after the other, each by itself."""
    encoder, head = model
    total = 0.0
    for n, piece in enumerate(word):
        inside = np.array([*word[:n], *[MASK] * (len(word) - n)])
        tokens = np.concatenate([hole.tokens[: hole.place], inside, hole.tokens[hole.place + 1 :]])
        inputs, _ = pack([Example(tokens=tokens, lengths=(len(tokens),))], attention="bidirectional", filler=0)
        with torch.inference_mode():
            scores = head(encoder(inputs), encoder.token_embedding.weight)[hole.place + n].log_softmax(-1)
        total += float(scores[piece])
    return total


def test_a_beam_as_wide_as_the_vocabulary_finds_what_a_full_search_finds(model: tuple[Bert, VocabularyHead]) -> None:
    filler = WordFiller(VOCABULARY, pieces=2, width=20, batch_tokens=30)
    found = filler.fill(*model, HOLES)
    words = [(a,) for a in range(5, 10)] + list(itertools.product(range(5, 10), range(10, 14)))
    for hole, some in zip(HOLES, found, strict=True):
        every = sorted(((log_probability(model, hole, word), word) for word in words), reverse=True)[:20]
        assert [word.ids for word in some] == [word for _, word in every]
        assert [word.log_probability for word in some] == pytest.approx([value for value, _ in every], abs=1e-4)


def test_neither_company_nor_batch_changes_a_word(model: tuple[Bert, VocabularyHead]) -> None:
    alone = WordFiller(VOCABULARY, pieces=3, width=4, batch_tokens=1).fill(*model, HOLES[1:])[0]
    together = WordFiller(VOCABULARY, pieces=3, width=4, batch_tokens=1000).fill(*model, HOLES)[1]
    assert [word.ids for word in alone] == [word.ids for word in together]


def test_a_word_of_several_pieces_is_found_once_it_is_known() -> None:
    text = "the outlaw drew his quarterstaff and the miller drew his sword"
    tokenizer = WordPiece.train(WordPiece.Config(vocab_size=300), [text.replace("quarterstaff", "quart er staff")] * 3)
    task = FillMask(FillMaskConfig(pieces=6, top_k=8), tokenizer)
    ids = tokenizer.encode("quarterstaff").ids
    assert 2 <= len(ids) <= 6
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder = Bert(BertConfig(layers=1, width=32, heads=2, positions=64), tokenizer.vocabulary)
        head = VocabularyHead(encoder)
        learned = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=0.01)
        tokens = tokenizer.wrap(tokenizer.encode(text).ids).ids
        at = next(i for i in range(len(tokens)) if (tokens[i : i + len(ids)] == ids).all())
        for step in range(80):  # hide the last pieces of the word, from one to all of them
            hidden = tokens.copy()
            start = at + step % len(ids)
            hidden[start : at + len(ids)] = tokenizer.vocabulary.special["mask"]
            inputs, _ = pack([Example(tokens=hidden, lengths=(len(hidden),))], attention="bidirectional", filler=0)
            scores = head(encoder(inputs), encoder.token_embedding.weight)[start : at + len(ids)]
            loss = torch.nn.functional.cross_entropy(scores, torch.tensor(tokens[start : at + len(ids)]))
            learned.zero_grad()
            loss.backward()
            learned.step()
    masked = text.replace("quarterstaff", "[MASK]")
    [answer] = task.predict(encoder, head, [{"text": masked}], batch_tokens=512)
    [named] = [choice for choice in answer["masks"][0] if choice["token"] == "quarterstaff"]
    assert named["ids"] == ids.tolist()
    assert named["probability"] > 0.9
    assert task.score(task.tally(answer, {"text": masked, "answer": "quarterstaff"}))["accuracy_at_8"] == 1.0
    written = task._answer(task._read(masked), [[named]])
    assert written["text"] == text, "written as one word"
