"""Task "fill-mask": which words may stand where a text has a mask.

Several masks of a text are filled independently of each other: each sees the others as masks.  A text that is longer
than the model reads is read around each mask, so that masks far apart do not see each other at all.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar

import attrs
import numpy as np
import numpy.typing as npt
import torch
from attrs import validators
from torch import Tensor, nn

from lmkit.batch import Example, pack
from lmkit.errors import DataError, FitError
from lmkit.interfaces import Encoder, Task, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.parts.heads import HEAD_AT_ONCE, VocabularyHead
from lmkit.parts.inference import inference
from lmkit.parts.rows import answer, batches, has_value, text_of
from lmkit_bert.mlm import MaskedConfig, MaskedLanguageModelling
from lmkit_bert.words import Hole, WordFiller

MASK = "[MASK]"
"""How a mask may be written whatever the tokenizer's own spelling is."""
_ASKED = 10  # words of a question
NOTHING = np.zeros(0, np.int64)


@attrs.frozen(kw_only=True)
class FillMaskConfig:
    """How many words to name, and which columns hold the text and what is right."""

    top_k: int = attrs.field(default=5, validator=validators.ge(1))
    """Words to name for each mask, the likeliest first."""
    column: str = "text"
    """Column of the text with its masks, or of a text to learn from."""
    answer_column: str = "answer"
    """Column of the right word, or the list of them, one a mask; only metrics read it."""
    pieces: int = attrs.field(default=1, validator=[validators.ge(1), validators.le(16)])
    """Pieces that a word may have; with more than 1 only whole words are named, in several times the time."""
    longest: int = attrs.field(default=128, validator=validators.ge(8))
    """Tokens to read at once at most; a longer text is read in pieces."""

    def __attrs_post_init__(self) -> None:
        if self.longest < self.pieces + 8:
            raise ValueError(f"longest {self.longest} leaves no room for text beside a word of {self.pieces} pieces")


@attrs.frozen(eq=False)
class _Masked:
    """A text, and where its masks are."""

    text: str
    ids: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]  # [m] of the masks among the ids
    spans: list[list[int]]  # [m, 2] of the masks in characters of the text


@attrs.frozen(eq=False)
class _Window:
    """What is read at once: some of a text's masks with what stands around them."""

    tokens: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]


class FillMask(Task):
    """Fills masks; one answer a row, in order.

    {"text": the text with each mask's likeliest word, "masks": for each mask a list of {"token", "ids", "probability"}}
    """

    name = "fill-mask"
    Config = FillMaskConfig
    reads: ClassVar[frozenset[str]] = frozenset({"token", "masked-next-token"})
    verb: ClassVar[str | None] = "fill"

    def __init__(self, config: FillMaskConfig, tokenizer: Tokenizer) -> None:
        special = tokenizer.vocabulary.special
        if "mask" not in special:
            raise FitError('task "fill-mask" needs a tokenizer with a mask token; this one has none')
        self.config = config
        self.tokenizer = tokenizer
        self._mask, self._filler = special["mask"], special["pad"]
        self._word_starts = tokenizer.vocabulary.word_starts
        self._special_ids = tokenizer.vocabulary.special_ids().tolist()
        self._around = len(tokenizer.wrap(NOTHING).ids)

    def build_objective(self, labels: Sequence[str]) -> MaskedLanguageModelling:
        return MaskedLanguageModelling(MaskedConfig(), self.tokenizer.vocabulary)

    def row(self, text: str) -> Row:
        return {self.config.column: text}

    def ask(self, text: str) -> str | None:
        """Its first words, the longest of them hidden."""
        words = text.split()[:_ASKED]
        if len(words) < _ASKED:
            return None
        hidden = max(range(1, len(words)), key=lambda place: len(words[place]))
        return " ".join([*words[:hidden], MASK, *words[hidden + 1 :]])

    def examples(self, row: Row) -> Iterator[Example]:
        """A text's tokens, cut at `longest`."""
        ids = self.tokenizer.encode_batch([text_of(row, self.config.column)])[0]
        if not len(ids):
            raise DataError(f'column "{self.config.column}": the text is empty')
        room = self.config.longest - self._around
        for start in range(0, len(ids), room):
            yield _example(self.tokenizer.wrap(ids[start : start + room]).ids)

    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        longest = min(self.config.longest, encoder.longest or sys.maxsize) - (self.config.pieces - 1)
        if longest <= self._around:
            raise FitError(
                f"this model reads {encoder.longest} tokens, too few for words of {self.config.pieces} pieces"
            )

        if isinstance(head, VocabularyHead) and head.shift and not self.tokenizer.wrap(NOTHING).first:
            raise FitError("this head predicts a mask from the token before it, and this tokenizer begins with none")

        def fill(texts: Sequence[_Masked]) -> Iterator[dict[str, Any]]:
            windows = chain.from_iterable(self._windows(text, longest) for text in texts)
            together = batches(windows, lambda window: len(window.tokens), batch_tokens)
            if self.config.pieces == 1:
                masks = chain.from_iterable(self._fill(encoder, head, some) for some in together)
            else:
                masks = chain.from_iterable(self._fill_words(encoder, head, some, batch_tokens) for some in together)
            for text in texts:
                yield self._answer(text, [next(masks) for _ in text.places])

        def read(_: int, row: Row) -> _Masked:
            return self._read(text_of(row, self.config.column))

        def tokens(text: _Masked) -> int:
            return len(text.ids) + self._around

        return answer(rows, read, tokens, fill, batch_tokens=batch_tokens)

    def tally(self, prediction: Any, row: Row) -> Mapping[str, float]:
        """Masks whose right word is the likeliest, and among those named."""
        right = self._right(row)
        masks = prediction.get("masks", [])
        if not right:
            return {}
        if masks and len(masks) != len(right):
            raise DataError(
                f'column "{self.config.answer_column}": wanted a word for each of {len(masks)} masks, got {len(right)}'
            )
        masks = masks or [[]] * len(right)
        ranks = [self._rank(word, named) for word, named in zip(right, masks, strict=True)]
        missed = ranks.count(None)
        counts = {"masks": len(ranks), "first": ranks.count(0), "named": len(ranks) - missed}
        return {name: float(count) for name, count in counts.items()}

    def score(self, total: Mapping[str, float]) -> Mapping[str, float]:
        if not total.get("masks"):
            return {}
        named = f"accuracy_at_{self.config.top_k}"
        return {"accuracy": total["first"] / total["masks"], named: total["named"] / total["masks"]}

    def _right(self, row: Row) -> list[str]:
        given = row.get(self.config.answer_column)
        words = [] if not has_value(row, self.config.answer_column) else [given] if isinstance(given, str) else given
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise DataError(
                f'column "{self.config.answer_column}": wanted a word or a list of words, got {given!r:.40}'
            )
        return words

    def _rank(self, word: str, named: Sequence[Mapping[str, Any]]) -> int | None:
        wanted = self.tokenizer.decode(self.tokenizer.encode(word).ids).strip()  # as the tokenizer spells it
        return next((rank for rank, choice in enumerate(named) if choice["token"].strip() == wanted), None)

    def _read(self, text: str) -> _Masked:
        encoding = self.tokenizer.encode(text)
        places = np.flatnonzero(encoding.ids == self._mask)
        if len(places):
            return _Masked(text, encoding.ids, places, encoding.offsets[places].tolist())
        if MASK in text:
            return self._read_parts(text, text.split(MASK))
        raise DataError(f'column "{self.config.column}": no mask in the text; write {MASK} where a word is missing')

    def _read_parts(self, text: str, parts: Sequence[str]) -> _Masked:
        """Of a text cut at its masks; the space before a mask belongs to the word that it hides."""
        *openings, end = parts
        pieces = [np.append(self.tokenizer.encode(part.removesuffix(" ")).ids, self._mask) for part in openings]
        ids = np.concatenate([*pieces, self.tokenizer.encode(end).ids]).astype(np.int64)
        ends = np.cumsum([len(part) + len(MASK) for part in openings]).tolist()
        return _Masked(text, ids, np.flatnonzero(ids == self._mask), [[end - len(MASK), end] for end in ends])

    def _windows(self, text: _Masked, longest: int) -> Iterator[_Window]:
        """All of a text that can be read at once; of a longer one, what stands around its masks."""
        room = longest - self._around
        at = 0
        while at < len(text.places):
            here = int(text.places[at])
            start = max(0, min(here - room // 2, len(text.ids) - room))
            rest = start + room >= len(text.ids)
            # Masks soon after this one share its window: a quarter of it still stands behind each.
            following = len(text.places) if rest else int(np.searchsorted(text.places, here + max(1, room // 4)))
            wrapped = self.tokenizer.wrap(text.ids[start : start + room])
            yield _Window(wrapped.ids, wrapped.first + text.places[at:following] - start)
            at = following

    def _fill(self, encoder: Encoder, head: nn.Module, windows: Sequence[_Window]) -> list[list[dict[str, Any]]]:
        """What may stand at each mask of `windows`; special tokens are never named."""
        examples = [_example(window.tokens) for window in windows]
        inputs, starts = pack(examples, attention="bidirectional", filler=self._filler)
        shift = head.shift if isinstance(head, VocabularyHead) else 0
        places = np.concatenate([start + window.places for start, window in zip(starts, windows, strict=True)]) - shift
        embedding = encoder.token_embedding.weight
        with inference(encoder, head):
            hidden = encoder(inputs.to(embedding.device))[torch.from_numpy(places).to(embedding.device)]
            return [named for some in hidden.split(HEAD_AT_ONCE) for named in self._likeliest(head(some, embedding))]

    def _fill_words(
        self, encoder: Encoder, head: nn.Module, windows: Sequence[_Window], batch_tokens: int
    ) -> list[list[dict[str, Any]]]:
        """What may stand at each mask of `windows`, words of several pieces among them."""
        filler = WordFiller(
            self.tokenizer.vocabulary, pieces=self.config.pieces, width=self.config.top_k, batch_tokens=batch_tokens
        )
        holes = [Hole(window.tokens, int(place)) for window in windows for place in window.places]
        return [
            [self._named(word.ids, math.exp(word.log_probability)) for word in words]
            for words in filler.fill(encoder, head, holes)
        ]

    def _named(self, ids: Sequence[int], probability: float) -> dict[str, Any]:
        return {"token": self.tokenizer.decode(ids), "ids": list(ids), "probability": probability}

    def _likeliest(self, logits: Tensor) -> list[list[dict[str, Any]]]:
        """What [N, vocabulary] logits say, the likeliest first."""
        probabilities = logits.float().softmax(-1)
        probabilities[:, self._special_ids] = 0
        best = probabilities.topk(min(self.config.top_k, logits.shape[1] - len(self._special_ids)))
        return [
            [self._named([number], probability) for number, probability in zip(ids, values, strict=True)]
            for ids, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def _answer(self, text: _Masked, masks: list[list[dict[str, Any]]]) -> dict[str, Any]:
        pieces, at = [], 0
        for (start, end), named in zip(text.spans, masks, strict=True):
            hidden, ids, alone = text.text[start:end], named[0]["ids"], named[0]["token"]
            # Some tokenizers' mask has the space before it.
            before = text.text[at:start] + hidden[: len(hidden) - len(hidden.lstrip())]
            # After itself a word is spelled as it is within a text: with its space, or without its "##".
            word = self.tokenizer.decode(ids * 2).removeprefix(alone)
            pieces += [before, word.lstrip(" ")] if self._word_starts[ids[0]] else [before.rstrip(" "), word]
            at = end
        return {"text": "".join([*pieces, text.text[at:]]), "masks": masks}


def _example(tokens: npt.NDArray[np.int64]) -> Example:
    return Example(tokens=tokens, lengths=(len(tokens),))
