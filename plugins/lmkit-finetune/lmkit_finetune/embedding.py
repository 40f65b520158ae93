"""Task "embedding": a text as a vector, and which of some texts are nearest to it.

Any pre-trained run embeds as it is; fine-tuning on pairs with a similarity makes the cosine of two embeddings say it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import torch
from attrs import validators
from torch import Tensor, nn

from lmkit.batch import Attention, Example, pack
from lmkit.errors import DataError, FitError
from lmkit.interfaces import Encoder, Task, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.parts.inference import inference
from lmkit.parts.rows import answer, batches, has_value, text_of
from lmkit_finetune.correlation import pair_sums, pearson
from lmkit_finetune.similarity import EmbeddingHead, Similarity, SimilarityConfig
from lmkit_finetune.texts import most_tokens, number_of, sequence, wrapped


@attrs.frozen(kw_only=True)
class EmbeddingConfig(SimilarityConfig):
    """Which columns hold texts and similarities, how states become a vector, and among what to look for neighbours."""

    column: str = "text"
    """Column of the text."""
    pair_column: str = "pair"
    """Column of a second text, in rows of pairs."""
    similarity_column: str = "similarity"
    """Column of how alike the two are; a number that is not from lowest to highest is an error."""
    lowest: float = 0.0
    """The similarity of texts that have nothing in common, whose cosine is to be 0."""
    highest: float = 1.0
    """The similarity of texts that say the same, whose cosine is to be 1."""
    longest: int = attrs.field(default=128, validator=validators.ge(8))
    """Tokens to read at most; a longer text is cut at its end."""
    among: tuple[str, ...] | Path = ()
    """Texts to look for neighbours among, or a file of them, one a line."""
    neighbours: int = attrs.field(default=5, validator=validators.ge(1))
    """How many to name, the nearest first."""
    metric: Literal["pearson", "loss"] = "pearson"
    """What says which checkpoint is best."""

    def __attrs_post_init__(self) -> None:
        if not self.lowest < self.highest:
            raise ValueError(f"lowest {self.lowest:g} is not below highest {self.highest:g}")
        if not math.isfinite(self.highest - self.lowest):
            raise ValueError(f"from lowest {self.lowest:g} to highest {self.highest:g} is more than a float holds")


@attrs.frozen(eq=False)
class _Others:
    """The texts to look for neighbours among."""

    texts: Sequence[str]
    vectors: Tensor
    """[N, width] of length 1."""


class Embedding(Task):
    """A text as a vector; one answer a row, in order.

    {"embedding": its numbers}, with "similarity": the cosine with the row's second text, where it has one, and with
    "neighbours": a list of {"text", "similarity"}, where there are texts to look among
    """

    name = "embedding"
    Config = EmbeddingConfig
    reads: ClassVar[frozenset[str]] = frozenset(
        {"embedding", "token", "next-token", "masked-next-token", "classify", "replaced", "seq2seq"}
    )
    verb: ClassVar[str | None] = "embed"

    def __init__(self, config: EmbeddingConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.tokenizer = tokenizer

    @property
    def metric(self) -> str | None:
        return None if self.config.metric == "loss" else self.config.metric

    def build_objective(self, labels: Sequence[str]) -> Similarity:
        config = SimilarityConfig(pooling=self.config.pooling, attention=self.config.attention)
        return Similarity(config, self.tokenizer.vocabulary)

    def row(self, text: str) -> Row:
        return {self.config.column: text}

    def examples(self, row: Row) -> Iterator[Example]:
        """One, with a sequence for each text of the pair."""
        if not text_of(row, self.config.pair_column):
            raise DataError(f'column "{self.config.pair_column}": the text is empty')
        yield attrs.evolve(self._read(row, self.config.longest), target=self._similarity(row))

    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        embedder = self._embedder(head)
        others: _Others | None = None

        def embed(examples: Sequence[Example]) -> Iterator[dict[str, Any]]:
            nonlocal others
            if self.config.among and others is None:
                others = self._others(encoder, embedder, batch_tokens)
            vectors = iter(self._vectors(encoder, embedder, examples))
            for example in examples:
                yield self._answer([next(vectors) for _ in example.lengths], others)

        longest = most_tokens(self.config.longest, encoder)
        return answer(
            rows, lambda _, row: self._read(row, longest), lambda e: len(e.tokens), embed, batch_tokens=batch_tokens
        )

    def tally(self, prediction: Any, row: Row) -> Mapping[str, float]:
        """Sums of cosines and similarities, squares and products, for pairs that have a similarity."""
        if not has_value(row, self.config.similarity_column) or "similarity" not in prediction:
            return {}
        return pair_sums(prediction["similarity"], self._similarity(row))

    def score(self, total: Mapping[str, float]) -> Mapping[str, float]:
        """Pearson's correlation of cosines and similarities."""
        return {"pearson": pearson(total)} if total.get("rows") else {}

    def _read(self, row: Row, longest: int) -> Example:
        """The text, and the second one of a pair, each a sequence."""
        columns = [self.config.column]
        if has_value(row, self.config.pair_column):
            columns.append(self.config.pair_column)
        parts = [sequence(self.tokenizer, row, column, None, longest) for column in columns]
        return Example(
            tokens=np.concatenate([part.tokens for part in parts]),
            lengths=tuple(len(part.tokens) for part in parts),
        )

    def _similarity(self, row: Row) -> float:
        """The row's similarity, on the scale of cosines."""
        number = number_of(row, self.config.similarity_column, self.config.lowest, self.config.highest)
        return (number - self.config.lowest) / (self.config.highest - self.config.lowest)

    def _embedder(self, head: nn.Module) -> EmbeddingHead:
        """The head itself where it embeds; else one that reads as the given head does."""
        if isinstance(head, EmbeddingHead):
            return head
        attention: Attention | None = getattr(head, "attention", None)
        if attention is None:
            raise FitError(
                f'task "embedding" cannot tell how the encoder under a {type(head).__name__} reads: '
                f'its objective should give it an attribute "attention"'
            )
        if attention == "mixed" or getattr(head, "kind", None) == "seq2seq":
            attention = "bidirectional"  # a text is seen whole where it can be: of an encoder-decoder by its encoder
        return EmbeddingHead(self.config.pooling, attention)

    def _vectors(self, encoder: Encoder, embedder: EmbeddingHead, examples: Sequence[Example]) -> Tensor:
        """[S, width] of the examples' sequences, on the CPU."""
        inputs, _ = pack(examples, attention=embedder.attention, filler=self.tokenizer.vocabulary.special["pad"])
        with inference(encoder):
            vectors: Tensor = embedder(encoder, inputs.to(encoder.token_embedding.weight.device))
            return vectors.float().cpu()

    def _others(self, encoder: Encoder, embedder: EmbeddingHead, batch_tokens: int) -> _Others:
        texts = list(dict.fromkeys(self._among()))
        longest = most_tokens(self.config.longest, encoder)
        examples = (self._other(text, longest) for text in texts)
        found = [
            self._vectors(encoder, embedder, some)
            for some in batches(examples, lambda example: len(example.tokens), batch_tokens)
        ]
        return _Others(texts, nn.functional.normalize(torch.cat(found), dim=-1))

    def _among(self) -> Sequence[str]:
        if not isinstance(self.config.among, Path):
            return self.config.among
        try:
            lines = self.config.among.read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"among: {self.config.among} cannot be read as UTF-8 text: {error}") from None
        texts = [line for line in lines if line.strip()]
        if not texts:
            raise DataError(f"among: {self.config.among} holds no text; write one a line")
        return texts

    def _other(self, text: str, longest: int) -> Example:
        whole = wrapped(self.tokenizer, (text,), longest)
        if whole is None:
            raise DataError(f"among: a text without tokens, {text!r:.40}")
        return Example(tokens=whole.ids, lengths=(len(whole.ids),))

    def _answer(self, vectors: Sequence[Tensor], others: _Others | None) -> dict[str, Any]:
        made: dict[str, Any] = {"embedding": vectors[0].tolist()}
        if len(vectors) == 2:
            made["similarity"] = float(nn.functional.cosine_similarity(vectors[0], vectors[1], dim=0))
        if others is not None:
            cosines = others.vectors @ nn.functional.normalize(vectors[0], dim=0)
            nearest = cosines.topk(min(self.config.neighbours, len(others.texts)))
            pairs = zip(nearest.indices.tolist(), nearest.values.tolist(), strict=True)
            made["neighbours"] = [{"text": others.texts[n], "similarity": value} for n, value in pairs]
        return made
