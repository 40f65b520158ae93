import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lmkit_gpt.bpe import BytePairEncoding

from lmkit.errors import DataError

TEXTS = [
    "In merry England in the time of old, when good King Henry the Second ruled the land, there lived within the",
    "green glades of Sherwood Forest, near Nottingham Town, a famous outlaw whose name was Robin Hood.\n\n",
    "No archer ever lived that could speed a gray goose shaft with such skill and cunning as his, nor were there",
    "ever such yeomen as the sevenscore merry men that roamed with him through the greenwood shade.",
]
SPECIAL = ("<|endoftext|>", "<|pad|>", "<|mask|>")


@pytest.fixture(scope="module")
def bpe() -> BytePairEncoding:
    return BytePairEncoding.train(BytePairEncoding.Config(vocab_size=400), TEXTS * 2)


def spelled(tokenizer: BytePairEncoding, text: str) -> list[str]:
    return [tokenizer._pipeline.id_to_token(int(number)) for number in tokenizer.encode(text).ids]


def test_special_tokens_come_first_then_all_bytes(bpe: BytePairEncoding) -> None:
    vocabulary = bpe.vocabulary
    assert dict(vocabulary.special) == {"bos": 0, "eos": 0, "pad": 1, "mask": 2}
    assert vocabulary.special_ids().tolist() == [0, 1, 2]
    assert vocabulary.size == len(vocabulary.word_starts) == 400
    tokens = bpe._pipeline.get_vocab()
    assert sum(1 for token, number in tokens.items() if len(token) == 1 and 3 <= number < 259) == 256


def test_words_begin_with_a_space_or_a_line(bpe: BytePairEncoding) -> None:
    assert spelled(bpe, "Robin the\nmen") == ["Ro", "bin", "\u0120the", "\u010a", "men"]
    assert bpe.vocabulary.words(bpe.encode("Robin the\nmen").ids).tolist() == [0, 0, 1, 2, 2]


def test_the_mask_takes_the_space_before_it(bpe: BytePairEncoding) -> None:
    assert spelled(bpe, " the <|mask|> there") == ["\u0120the", "<|mask|>", "\u0120there"]
    assert bpe.decode(bpe.encode(" the <|mask|> there").ids) == " the there"


def test_a_text_may_end_and_another_begin(bpe: BytePairEncoding) -> None:
    assert spelled(bpe, " the<|endoftext|> the") == ["\u0120the", "<|endoftext|>", "\u0120the"]


def test_one_text_and_two_texts_begin_with_the_end_of_text(bpe: BytePairEncoding) -> None:
    one, two = np.array([7, 8, 9]), np.array([10, 11])
    alone = bpe.wrap(one)
    assert alone.ids.tolist() == [0, 7, 8, 9]
    assert (alone.segments.tolist(), alone.first, alone.second) == ([0, 0, 0, 0], 1, 4)
    pair = bpe.wrap(one, two)
    assert pair.ids.tolist() == [0, 7, 8, 9, 0, 10, 11]
    assert (pair.segments.tolist(), pair.first, pair.second) == ([0, 0, 0, 0, 0, 1, 1], 1, 5)


def assert_comes_back(bpe: BytePairEncoding, text: str) -> None:
    encoding = bpe.encode(text)
    assert bpe.decode(encoding.ids) == text
    assert bpe.encode_batch([text])[0].tolist() == encoding.ids.tolist()
    reached = 0
    for start, stop in encoding.offsets.tolist():  # tokens tile the text; those of one character share its place
        assert start in (reached, reached - 1)
        assert start < stop >= reached
        reached = stop
    assert reached == len(text)


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("the \n")), max_size=40))
def test_every_text_comes_back_as_it_was(bpe: BytePairEncoding, text: str) -> None:
    assume(not any(token in text for token in SPECIAL))  # those are recognized, and left out
    assert_comes_back(bpe, text)


def test_naughty_strings_come_back_as_they_were(bpe: BytePairEncoding, naughty_strings: list[str]) -> None:
    for text in naughty_strings:
        assert_comes_back(bpe, text)


@pytest.mark.data
def test_hard_strings_come_back_as_they_were(bpe: BytePairEncoding, hard_strings: list[str]) -> None:
    assert [bpe.decode(ids) for ids in bpe.encode_batch(hard_strings)] == hard_strings
    for text in hard_strings[::50]:
        assert_comes_back(bpe, text)


def test_offsets_are_in_characters(bpe: BytePairEncoding) -> None:
    text = " the \U0001f600 merry \u4e2d"
    encoding = bpe.encode(text)
    places = [text[start:stop] for start, stop in encoding.offsets]
    assert places[0] == " the"
    assert places.count(" merry") == 1
    assert places[-3:] == ["\u4e2d"] * 3


def test_half_of_a_surrogate_pair_is_refused(bpe: BytePairEncoding) -> None:
    wrong = "half of a surrogate pair and no character by itself, in 'so \\ud800!'; repair the text or leave it out"
    with pytest.raises(DataError) as caught:
        bpe.encode("so \ud800!")
    assert str(caught.value) == f"character 3 is U+D800, {wrong}"
    with pytest.raises(DataError) as caught:
        bpe.encode_batch(["well", "so \ud800!"])
    assert str(caught.value) == f"text 1, character 3 is U+D800, {wrong}"
    with pytest.raises(DataError) as caught:
        BytePairEncoding.train(BytePairEncoding.Config(), ["well", "so \ud800!"])
    assert str(caught.value) == f"character 3 is U+D800, {wrong}"


def test_no_text_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        BytePairEncoding.train(BytePairEncoding.Config(), [])
    assert str(caught.value) == "no text to train a tokenizer on: every document is empty"


def test_a_small_corpus_gives_a_small_vocabulary() -> None:
    tokenizer = BytePairEncoding.train(BytePairEncoding.Config(), ["no, no"])
    assert tokenizer.vocabulary.size == 3 + 256 + 1
    assert spelled(tokenizer, "no, no") == ["no", ",", "\u0120", "no"]


def test_how_the_text_is_handed_over_does_not_matter(bpe: BytePairEncoding) -> None:
    text = "".join(TEXTS) * 500
    assert len(text) > 3 * 65_536
    whole = BytePairEncoding.train(BytePairEncoding.Config(vocab_size=300), [text])
    lines = BytePairEncoding.train(BytePairEncoding.Config(vocab_size=300), text.splitlines(keepends=True))
    assert whole._pipeline.get_vocab() == lines._pipeline.get_vocab()


TRAIN = """
import sys
from pathlib import Path
from lmkit_gpt.bpe import BytePairEncoding
from lmkit_gpt.plugin import __file__ as path
text = Path(path).with_name("bpe.py").read_text()
BytePairEncoding.train(BytePairEncoding.Config(vocab_size=600), [text]).save(Path(sys.argv[1]))
"""


def test_the_same_text_gives_the_same_files_in_every_process(tmp_path: Path) -> None:
    saved = []
    for threads in ("1", "2"):
        folder = tmp_path / threads
        folder.mkdir()
        environment = {"RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true", "PYTHONPATH": ":".join(sys.path)}
        subprocess.run([sys.executable, "-c", TRAIN, str(folder)], check=True, env=environment)
        saved.append([path.read_bytes() for path in sorted(folder.iterdir())])
    assert len(saved[0]) == 2
    assert saved[0] == saved[1]


def test_what_is_saved_is_loaded_and_saved_again_to_the_same_bytes(bpe: BytePairEncoding, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    bpe.save(first)
    loaded = BytePairEncoding.load(first)
    loaded.save(second)
    names = ["tokenizer.json", "tokenizer_config.json"]
    assert sorted(path.name for path in first.iterdir()) == names
    assert [(first / name).read_bytes() for name in names] == [(second / name).read_bytes() for name in names]
    assert spelled(loaded, "the <|mask|> there") == spelled(bpe, "the <|mask|> there")


def test_auto_tokenizer_reads_what_is_saved(bpe: BytePairEncoding, naughty_strings: list[str], tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    bpe.save(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')  # as beside an exported model
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.model_input_names == ["input_ids", "attention_mask"]
    assert [getattr(theirs, f"{role}_token_id") for role in ("bos", "eos", "pad", "mask")] == [0, 0, 1, 2]
    texts = [*naughty_strings, "the <|mask|> men", "the<|endoftext|>men <|pad|>"]
    for first, second in zip(texts, reversed(texts[1:]), strict=False):  # it takes an empty second text for none
        one, two = bpe.encode(first).ids, bpe.encode(second).ids
        assert theirs(first)["input_ids"] == bpe.wrap(one).ids.tolist()
        assert theirs(first, second)["input_ids"] == bpe.wrap(one, two).ids.tolist()
        assert theirs.decode(one, skip_special_tokens=True) == bpe.decode(one)


def assert_same_as_gpt2_tokenizer(bpe: BytePairEncoding, texts: list[str]) -> None:
    from transformers import GPT2Tokenizer

    merges = [tuple(pair) for pair in json.loads(bpe._pipeline.to_str())["model"]["merges"]]
    theirs = GPT2Tokenizer(vocab=bpe._pipeline.get_vocab(), merges=merges)
    assert len(merges) == len(theirs) - 259 > 100
    assert [ids.tolist() for ids in bpe.encode_batch(texts)] == theirs(texts)["input_ids"]


def test_ids_are_those_of_gpt2_tokenizer_on_naughty_strings(bpe: BytePairEncoding, naughty_strings: list[str]) -> None:
    assert_same_as_gpt2_tokenizer(bpe, naughty_strings)


@pytest.mark.data
def test_ids_are_those_of_gpt2_tokenizer_on_hard_strings(bpe: BytePairEncoding, hard_strings: list[str]) -> None:
    assert_same_as_gpt2_tokenizer(bpe, hard_strings)
