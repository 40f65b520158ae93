"""Embeddings: their promises, pooling, neighbours, and the heads of other objectives."""

from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
import pytest
import torch
from lmkit_finetune.classify import Classify
from lmkit_finetune.embedding import Embedding
from lmkit_finetune.similarity import EmbeddingHead, Similarity
from torch import nn

from lmkit.batch import Example, pack
from lmkit.errors import DataError, FitError
from lmkit.parts.heads import VocabularyHead
from lmkit.testing import TEXTS, Check, conformance
from lmkit.testing.reference import ByteTokenizer, Continuing, Denoising, ReferenceEncoder

TOKENIZER = ByteTokenizer.train(ByteTokenizer.Config(), ())
PAIRS = [{"text": text, "pair": TEXTS[n - 1][:30], "similarity": n % 4 / 3} for n, text in enumerate(TEXTS)]
SCORED = [{"a": row["text"], "b": row["pair"], "score": 1 + 4 * row["similarity"]} for row in PAIRS]
COLUMNS: dict[str, Any] = {"column": "a", "pair_column": "b", "similarity_column": "score"}
RANGE: dict[str, Any] = {"lowest": 1.0, "highest": 5.0}


def examples() -> list[Example]:
    task = Embedding(Embedding.Config(), TOKENIZER)
    made = [example for row in PAIRS for example in task.examples(row)]
    return [attrs.evolve(example, key=(1, 0, number)) for number, example in enumerate(made)]


@pytest.mark.parametrize("check", conformance(Similarity, examples=examples()))
def test_similarity_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check", conformance(Similarity, Similarity.Config(pooling="last", attention="causal"), examples=examples())
)
def test_similarity_of_last_tokens_conforms(check: Check) -> None:
    check()


def near(answer: Any, row: Any) -> bool:
    return abs(answer["similarity"] - row["similarity"]) < 0.2


@pytest.mark.parametrize("check", conformance(Embedding, rows=PAIRS, right=near))
def test_embedding_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check",
    conformance(
        Embedding,
        Embedding.Config(pooling="last", attention="causal", among=TEXTS[:4], neighbours=2, **COLUMNS, **RANGE),
        rows=SCORED,
    ),
)
def test_embedding_with_neighbours_conforms(check: Check) -> None:
    check()


@pytest.fixture(scope="module")
def encoder() -> ReferenceEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return ReferenceEncoder(ReferenceEncoder.Config(), TOKENIZER.vocabulary).eval()


def embedded(encoder: Any, head: nn.Module, rows: Any, **config: Any) -> list[dict[str, Any]]:
    return list(Embedding(Embedding.Config(**config), TOKENIZER).predict(encoder, head, rows, batch_tokens=256))


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_any_pre_trained_head_embeds_as_its_encoder_reads(
    encoder: ReferenceEncoder, pooling: Literal["mean", "first", "last"]
) -> None:
    vocabulary = TOKENIZER.vocabulary
    for objective in (
        Denoising(Denoising.Config(), vocabulary),
        Continuing(Continuing.Config(), vocabulary),
        Classify(Classify.Config(labels=("a", "b"), attention="causal"), vocabulary),
        Similarity(Similarity.Config(pooling=pooling), vocabulary),
    ):
        assert objective.head_kind in Embedding.reads
        [answer] = embedded(encoder, objective.build_head(encoder), [{"text": "two words"}], pooling=pooling)
        ids = TOKENIZER.wrap(TOKENIZER.encode("two words").ids).ids
        with torch.no_grad():
            example = Example(tokens=ids, lengths=(len(ids),))
            states = encoder(pack([example], attention=objective.attention, filler=0)[0])[: len(ids)]
        wanted = {"mean": states.mean(0), "first": states[0], "last": states[-1]}[pooling]
        assert answer.keys() == {"embedding"}
        assert answer["embedding"] == pytest.approx(wanted.tolist(), abs=1e-5)


def test_the_similarity_of_a_pair_is_the_cosine_of_its_embeddings(encoder: ReferenceEncoder) -> None:
    head = EmbeddingHead("mean", "bidirectional")
    [pair] = embedded(encoder, head, [{"text": "a cat", "pair": "the moon"}])
    one, other = (np.array(a["embedding"]) for a in embedded(encoder, head, [{"text": "a cat"}, {"text": "the moon"}]))
    assert pair["similarity"] == pytest.approx(one @ other / np.linalg.norm(one) / np.linalg.norm(other), abs=1e-5)


def test_neighbours_are_the_nearest_first_and_each_once(encoder: ReferenceEncoder, tmp_path: Path) -> None:
    head = EmbeddingHead("mean", "bidirectional")
    texts = (*TEXTS, TEXTS[0])
    [answer] = embedded(encoder, head, [{"text": TEXTS[2]}], among=texts, neighbours=99)
    found = answer["neighbours"]
    assert sorted(n["text"] for n in found) == sorted(TEXTS)
    assert found[0] == {"text": TEXTS[2], "similarity": pytest.approx(1)}
    similarities = [n["similarity"] for n in found]
    assert similarities == sorted(similarities, reverse=True)
    pairs = [{"text": TEXTS[2], "pair": n["text"]} for n in found]
    assert similarities == pytest.approx([a["similarity"] for a in embedded(encoder, head, pairs)], abs=1e-5)
    file = tmp_path / "texts.txt"
    file.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    [again] = embedded(encoder, head, [{"text": TEXTS[2]}], among=file, neighbours=3)
    assert [n["text"] for n in again["neighbours"]] == [n["text"] for n in found[:3]]
    file.write_text("one\N{LINE SEPARATOR}line\nanother", encoding="utf-8-sig")
    [lines] = embedded(encoder, head, [{"text": "one"}], among=file)
    assert {n["text"] for n in lines["neighbours"]} == {"one\N{LINE SEPARATOR}line", "another"}


def test_texts_that_cannot_be_looked_among_are_told(encoder: ReferenceEncoder, tmp_path: Path) -> None:
    head, rows = EmbeddingHead("mean", "bidirectional"), [{"text": "a"}]
    with pytest.raises(DataError, match=r"absent.txt cannot be read as UTF-8 text"):
        embedded(encoder, head, rows, among=tmp_path / "absent.txt")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match=r"empty.txt holds no text; write one a line"):
        embedded(encoder, head, rows, among=tmp_path / "empty.txt")


def test_a_head_that_does_not_say_how_its_encoder_reads_is_refused(encoder: ReferenceEncoder) -> None:
    for head in (nn.Linear(2, 2), VocabularyHead(encoder)):
        with pytest.raises(FitError, match=r"cannot tell how the encoder under a .* reads"):
            embedded(encoder, head, [{"text": "a"}])


def test_a_perfect_order_has_the_correlation_one() -> None:
    task = Embedding(Embedding.Config(lowest=1, highest=5), TOKENIZER)
    total: dict[str, float] = {}
    for score in (1, 2, 5):
        tally = task.tally(
            {"embedding": [], "similarity": 0.1 * score}, {"text": "a", "pair": "b", "similarity": score}
        )
        total = {name: total.get(name, 0.0) + part for name, part in tally.items()}
    assert task.score(total) == {"pearson": pytest.approx(1)}
    assert not task.tally({"embedding": []}, {"text": "a", "similarity": 2})


def test_what_is_no_pair_with_a_similarity_is_told() -> None:
    task = Embedding(Embedding.Config(), TOKENIZER)
    with pytest.raises(DataError, match='no column "pair"'):
        list(task.examples({"text": "a", "similarity": 0.5}))
    with pytest.raises(DataError, match='column "similarity": 3 is not from 0 to 1'):
        list(task.examples({"text": "a", "pair": "b", "similarity": 3}))
    [example] = task.examples(PAIRS[0])
    wrong = attrs.evolve(example, lengths=(len(example.tokens),))
    with pytest.raises(DataError, match=r"wanted two sequences and their similarity from 0 to 1, got 1 and 0.0"):
        Similarity(Similarity.Config(), TOKENIZER.vocabulary).collate([wrong], progress=None)
