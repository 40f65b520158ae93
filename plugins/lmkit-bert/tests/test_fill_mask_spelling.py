"""How masks are read from a text, and how a filled text is spelled, with tokenizers of two families."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pytest
import torch
from lmkit_bert.bert import Bert, BertConfig
from lmkit_bert.fill_mask import FillMask, FillMaskConfig
from lmkit_bert.wordpiece import WordPiece

from lmkit.errors import FitError
from lmkit.interfaces import Encoding, Tokenizer, Vocabulary, Wrapped
from lmkit.parts.heads import VocabularyHead

TEXT = "In merry England in the time of old ruled the land; there lived in Sherwood a famous outlaw, Robin Hood. "


class Words(Tokenizer):
    """A word each, with the space before it, as byte-level tokenizers have it; its mask is spelled <mask>."""

    name = "words"
    WORDS = ("<pad>", "<mask>", " his", " bow", " drew", "Robin", ".", "s", "?")

    def __init__(self, special: dict[str, int] | None = None) -> None:
        self._special = {"pad": 0, "mask": 1} if special is None else special

    @property
    def vocabulary(self) -> Vocabulary:
        starts = np.array([word.startswith(("<", " ")) for word in self.WORDS])
        return Vocabulary(size=len(self.WORDS), special=self._special, word_starts=starts)

    @classmethod
    def train(cls, config: Any, texts: Iterable[str]) -> Self:
        return cls()

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls()

    def save(self, folder: Path) -> None: ...

    def encode(self, text: str) -> Encoding:
        ids, offsets, at = [], [], 0
        while at < len(text):
            found = (i for i, word in enumerate(self.WORDS[:-1]) if text.startswith(word, at))
            number = next(found, len(self.WORDS) - 1)  # the last is any other character
            ids.append(number)
            offsets.append((at, at + len(self.WORDS[number])))
            at = offsets[-1][1]
        return Encoding(ids=np.array(ids, np.int64), offsets=np.array(offsets, np.int64).reshape(-1, 2))

    def encode_batch(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        return [self.encode(text).ids for text in texts]

    def decode(self, ids: Sequence[int] | npt.NDArray[Any]) -> str:
        return "".join(self.WORDS[i] for i in ids if i > 1)

    def wrap(self, first: npt.NDArray[Any], second: npt.NDArray[Any] | None = None) -> Wrapped:
        return Wrapped(ids=first, segments=first * 0, first=0, second=len(first))


@pytest.fixture(scope="module")
def wordpiece() -> WordPiece:
    return WordPiece.train(WordPiece.Config(vocab_size=300), [TEXT * 3])


def filled_with(wordpiece: WordPiece, text: str, *tokens: str) -> str:
    task = FillMask(FillMaskConfig(), wordpiece)
    ids = [wordpiece._pipeline.token_to_id(token) for token in tokens]
    masks = [[{"token": wordpiece.decode([number]), "ids": [number], "probability": 1.0}] for number in ids]
    answer: str = task._answer(task._read(text), masks)["text"]
    return answer


def test_a_filled_text_keeps_its_own_spelling(wordpiece: WordPiece) -> None:
    assert filled_with(wordpiece, "ROBIN  drew ([MASK])!", "land") == "ROBIN  drew (land)!"
    assert filled_with(wordpiece, "[MASK] [MASK], É", "the", "land") == "the land, É"


def test_a_token_that_continues_a_word_is_joined_to_it(wordpiece: WordPiece) -> None:
    assert filled_with(wordpiece, "Rob [MASK] Hood", "##in") == "Robin Hood"
    assert filled_with(wordpiece, "[MASK] [MASK].", "the", "##re") == "there."


def test_a_mask_may_be_spelled_bert_s_way_whatever_the_tokenizers_own() -> None:
    tokenizer = Words()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder = Bert(BertConfig(layers=1, width=16, heads=2), tokenizer.vocabulary)
    task = FillMask(FillMaskConfig(top_k=1), tokenizer)
    rows = [task.row(text) for text in ("Robin drew his [MASK].", "Robin drew his<mask>.", "[MASK] drew his [MASK]")]
    answers = list(task.predict(encoder, VocabularyHead(encoder), rows, batch_tokens=99))
    assert answers[0]["masks"][0][0]["ids"] == answers[1]["masks"][0][0]["ids"]
    assert answers[0]["masks"][0][0]["probability"] == pytest.approx(answers[1]["masks"][0][0]["probability"], abs=1e-6)
    read = task._read("Robin [MASK] his [MASK].")
    assert read.ids.tolist() == [5, 1, 2, 1, 6]
    assert read.places.tolist() == [1, 3]
    assert [read.text[start:end] for start, end in read.spans] == ["[MASK]", "[MASK]"]
    bow, more = ([{"token": Words.WORDS[n], "ids": [n], "probability": 1.0}] for n in (3, 7))
    assert task._answer(read, [bow, bow])["text"] == "Robin bow his bow."
    assert task._answer(read, [more, more])["text"] == "Robins hiss."


def test_a_tokenizer_without_a_mask_is_refused() -> None:
    with pytest.raises(FitError) as raised:
        FillMask(FillMaskConfig(), Words({"pad": 0}))
    assert str(raised.value) == 'task "fill-mask" needs a tokenizer with a mask token; this one has none'
