"""The reference task: which token comes next. Its rows may name the right one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import attrs
import numpy as np
import numpy.typing as npt
from torch import nn

from lmkit.batch import Example, pack
from lmkit.errors import DataError
from lmkit.interfaces import Encoder, Task, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.parts.inference import inference
from lmkit.parts.rows import answer, text_of
from lmkit.testing.reference.objectives import Continuing


@attrs.frozen(kw_only=True)
class NextConfig:
    """Which columns hold what."""

    column: str = "text"
    """Column of the text."""
    next_column: str = "next"
    """Column of what comes after it, where that is known."""
    longest: int = 64
    """Tokens of the text that are read at most, its last ones."""


class NextToken(Task):
    """Names the likeliest token after a text: {"next": text of the token, "probability": of it}."""

    name = "reference-next"
    Config = NextConfig
    reads: ClassVar[frozenset[str]] = frozenset({"next-token"})
    verb: ClassVar[str | None] = "guess"

    def __init__(self, config: NextConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.tokenizer = tokenizer

    def build_objective(self, labels: Sequence[str]) -> Continuing:
        return Continuing(Continuing.Config(), self.tokenizer.vocabulary)

    def examples(self, row: Row) -> Iterator[Example]:
        text = text_of(row, self.config.column) + str(row.get(self.config.next_column, ""))
        tokens = self._tokens(text, self.config.longest)
        yield Example(tokens=tokens, lengths=(len(tokens),))

    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        longest = min(self.config.longest, encoder.longest or self.config.longest)

        def read(_: int, row: Row) -> npt.NDArray[np.int64]:
            return self._tokens(text_of(row, self.config.column), longest)

        def guess(texts: Sequence[npt.NDArray[np.int64]]) -> list[dict[str, Any]]:
            return self.guess(encoder, head, texts)

        return answer(rows, read, len, guess, batch_tokens=batch_tokens)

    def guess(self, encoder: Encoder, head: nn.Module, texts: Sequence[npt.NDArray[np.int64]]) -> list[dict[str, Any]]:
        """The answers of one batch."""
        examples = [Example(tokens=tokens, lengths=(len(tokens),)) for tokens in texts]
        inputs, _ = pack(examples, attention="causal", filler=self.tokenizer.vocabulary.special["pad"])
        with inference(encoder, head):
            probabilities = head(encoder(inputs)[inputs.last], encoder.token_embedding.weight).softmax(-1)
        likeliest = probabilities.max(-1)
        pairs = zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True)
        return [{"next": self.tokenizer.decode([token]), "probability": probability} for token, probability in pairs]

    def tally(self, prediction: Any, row: Row) -> Mapping[str, float]:
        if self.config.next_column not in row:
            return {}
        return {"rows": 1.0, "right": float(prediction.get("next") == row[self.config.next_column])}

    def score(self, total: Mapping[str, float]) -> Mapping[str, float]:
        return {"accuracy": total["right"] / total["rows"]} if total.get("rows") else {}

    def _tokens(self, text: str, longest: int) -> npt.NDArray[np.int64]:
        ids = self.tokenizer.encode_batch([text])[0][-longest:]
        if not len(ids):
            raise DataError(f'column "{self.config.column}": the text is empty')
        return ids
