"""A text's middle is moved to its end: nothing of it is lost but what made room, and it can be asked for."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lmkit_gpt.bpe import BytePairEncoding
from lmkit_gpt.completion import Completion
from lmkit_gpt.fim import FillInTheMiddle, FillMiddleConfig
from lmkit_gpt.gpt2 import Gpt2, Gpt2Config

import lmkit
from lmkit.batch import Example
from lmkit.errors import FitError
from lmkit.interfaces import Vocabulary
from lmkit.testing import TEXTS

SPECIAL = {"pad": 0, "bos": 1, "eos": 1, "fim_prefix": 2, "fim_suffix": 3, "fim_middle": 4}
VOCABULARY = Vocabulary(size=60, special=SPECIAL, word_starts=np.ones(60, bool))
ALWAYS = {spm: FillInTheMiddle(FillMiddleConfig(rate=1.0, spm=spm), VOCABULARY) for spm in (0.0, 1.0)}


def split(tokens: list[int]) -> tuple[list[int], list[int], list[int]]:
    """Prefix, middle and suffix of what was moved, by its marks."""
    begin = tokens.index(2)
    assert tokens[-1] == 1
    if tokens[begin + 1] == 3:
        at = tokens.index(4)
        return [], tokens[at + 1 : -1], tokens[begin + 2 : at]
    behind, at = tokens.index(3), tokens.index(4)
    return tokens[begin + 1 : behind], tokens[at + 1 : -1], tokens[behind + 1 : at]


@given(st.lists(st.integers(5, 59), min_size=7, max_size=40), st.booleans(), st.booleans(), st.sampled_from([0.0, 1.0]))
def test_the_text_is_whole_but_for_its_last_tokens(text: list[int], bos: bool, eos: bool, spm: float) -> None:
    tokens = np.array([1] * bos + text + [1] * eos)
    read, _ = ALWAYS[spm].prepared(Example(tokens=tokens, lengths=(len(tokens),), key=(len(text),)), 0.5)
    moved = read.tokens.tolist()
    assert len(moved) == len(tokens)
    if moved == tokens.tolist():
        assert len(text) + eos < 7
        return
    prefix, middle, suffix = split(moved)
    whole = prefix + middle + suffix
    assert whole == text[: len(whole)]
    assert len(text) - len(whole) == 4 - eos
    assert moved[:bos] == [1] * bos


def test_as_many_are_moved_as_asked_and_none_in_validation() -> None:
    fim = FillInTheMiddle(FillMiddleConfig(rate=0.5, spm=0.25), VOCABULARY)
    examples = [Example(tokens=np.arange(5, 25), lengths=(10, 10), key=(1, n)) for n in range(500)]
    read = [np.split(fim.prepared(example, 0.1)[0].tokens, 2) for example in examples]
    marked = [part.tolist() for parts in read for part in parts if 2 in part]
    assert len(marked) == pytest.approx(500, abs=4 * np.sqrt(1000 * 0.25))
    assert sum(part[1] == 3 for part in marked) / len(marked) == pytest.approx(0.25 + 0.75 * 13 / 49, abs=0.09)
    assert all(fim.prepared(example, None)[0] is example for example in examples)


def test_a_tokenizer_without_the_marks_is_refused_and_one_may_have_them(tmp_path: Path) -> None:
    plain = BytePairEncoding.train(BytePairEncoding.Config(vocab_size=400), TEXTS)
    with pytest.raises(FitError, match=r"needs a tokenizer with the special tokens fim_prefix.*middle = true"):
        FillInTheMiddle(FillMiddleConfig(), plain.vocabulary)
    marked = BytePairEncoding.train(BytePairEncoding.Config(vocab_size=400, middle=True), TEXTS)
    FillInTheMiddle(FillMiddleConfig(), marked.vocabulary)
    marked.save(tmp_path)
    again = BytePairEncoding.load(tmp_path)
    assert again.vocabulary.special == marked.vocabulary.special
    ids = again.encode("a<|fim_middle|>b").ids
    assert again.vocabulary.special["fim_middle"] in ids
    assert again.decode(ids) == "ab"


def test_a_model_learns_to_fill_the_middle_in(tmp_path: Path) -> None:
    """Of a song that it knows by heart."""
    song = "one two three four five six seven eight nine ten eleven twelve\n"
    (tmp_path / "song.txt").write_text(song * 40)
    run = lmkit.pretrain(
        {
            "tokenizer": {"use": "bpe", "vocab_size": 330, "middle": True},
            "data": {"train": [str(tmp_path / "song.txt")], "document": "line"},
            "encoder": {"use": "gpt2", "layers": 2, "width": 64, "heads": 2, "positions": 64},
            "objective": {"use": "fim", "rate": 0.9},
            "train": {
                "steps": 250,
                "block_tokens": 48,
                "batch_tokens": 768,
                "learning_rate": 0.005,
                "precision": "fp32",
                "compile": "off",
                "threads": 1,
            },
        },
        run=tmp_path / "run",
        quiet=True,
    )
    row = {"text": "one two three four", "suffix": " seven eight nine"}
    [answer] = run.predict([row], temperature=0.0, suffix_column="suffix")
    assert answer["completion"] == " five six"
    assert answer["text"] == "one two three four five six seven eight nine"
    [plain] = run.predict([row], temperature=0.0, max_new_tokens=4)
    assert plain["completion"].startswith(" five")


def test_a_model_without_the_marks_says_so() -> None:
    plain = BytePairEncoding.train(BytePairEncoding.Config(vocab_size=400), TEXTS)
    task = Completion(Completion.Config(suffix_column="suffix", max_new_tokens=1), plain)
    gpt2 = Gpt2(Gpt2Config(layers=1, width=16, heads=2, positions=64), plain.vocabulary)
    head = task.build_objective(()).build_head(gpt2)
    rows = [{"text": "a", "suffix": "b"}, {"text": "a", "suffix": ""}]
    marked, alone = task.predict(gpt2, head, rows, batch_tokens=64)
    assert "this model cannot fill in the middle: its tokenizer lacks fim_prefix" in marked["error"]
    assert alone["tokens"] == 1
