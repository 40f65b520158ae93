import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lmkit_bert.wordpiece import WordPiece

from lmkit.errors import DataError, IntegrityError

TEXTS = [
    "In merry England in the time of old, when good King Henry the Second ruled the land, there lived within the",
    "green glades of Sherwood Forest, near Nottingham Town, a famous outlaw whose name was Robin Hood.\n\n",
    "No archer ever lived that could speed a gray goose shaft with such skill and cunning as his, nor were there",
    "ever such yeomen as the sevenscore merry men that roamed with him through the greenwood shade.",
]


@pytest.fixture(scope="module")
def wordpiece() -> WordPiece:
    return WordPiece.train(WordPiece.Config(vocab_size=300), TEXTS * 2)


def spelled(tokenizer: WordPiece, text: str) -> list[str]:
    return [tokenizer._pipeline.id_to_token(int(number)) for number in tokenizer.encode(text).ids]


def test_special_tokens_come_first_in_the_order_of_bert(wordpiece: WordPiece) -> None:
    vocabulary = wordpiece.vocabulary
    assert dict(vocabulary.special) == {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
    assert vocabulary.size == len(vocabulary.word_starts) == 206
    assert vocabulary.word_starts[:5].all()


def test_a_frequent_word_is_one_token_and_a_rare_one_several(wordpiece: WordPiece) -> None:
    assert spelled(wordpiece, "the merry Robins") == ["the", "merry", "robin", "##s"]
    assert wordpiece.vocabulary.words(wordpiece.encode("the merry Robins").ids).tolist() == [0, 1, 2, 2]


def test_every_letter_of_the_corpus_is_known_wherever_it_stands(wordpiece: WordPiece) -> None:
    letters = sorted({letter for text in TEXTS for letter in text.lower() if letter.isalpha()})
    assert len(letters) > 20
    for letter in letters:
        assert wordpiece.vocabulary.special["unk"] not in wordpiece.encode(letter + letter).ids


def test_no_token_continues_a_word_with_punctuation(wordpiece: WordPiece) -> None:
    tokens = wordpiece._pipeline.get_vocab()
    assert {",", "."} < tokens.keys()
    assert not [token for token in tokens if token.startswith("##") and not token[2:].isalpha()]


def test_special_tokens_in_a_text_are_recognized_and_left_out_when_decoded(wordpiece: WordPiece) -> None:
    assert spelled(wordpiece, "the [MASK] men.") == ["the", "[MASK]", "men", "."]
    assert wordpiece.decode(wordpiece.encode("The [MASK] men.").ids) == "the men."


def test_offsets_are_in_characters_of_the_text_as_it_was_given(wordpiece: WordPiece) -> None:
    text = "\u00c9ver \u4e2d th\u00e9 M\u00e9rry"
    encoding = wordpiece.encode(text)
    assert [text[start:stop] for start, stop in encoding.offsets] == ["\u00c9ver", "\u4e2d", "th\u00e9", "M\u00e9rry"]


def test_one_text_and_two_texts_are_wrapped_as_bert_does(wordpiece: WordPiece) -> None:
    one, two = np.array([7, 8, 9]), np.array([10, 11])
    alone = wordpiece.wrap(one)
    assert alone.ids.tolist() == [2, 7, 8, 9, 3]
    assert (alone.segments.tolist(), alone.first, alone.second) == ([0, 0, 0, 0, 0], 1, 5)
    pair = wordpiece.wrap(one, two)
    assert pair.ids.tolist() == [2, 7, 8, 9, 3, 10, 11, 3]
    assert (pair.segments.tolist(), pair.first, pair.second) == ([0, 0, 0, 0, 0, 1, 1, 1], 1, 5)


def test_case_and_accents_stay_where_the_config_says_so() -> None:
    config = WordPiece.Config(vocab_size=300, lowercase=False)
    tokenizer = WordPiece.train(config, ["\u00c9tienne and Robin, Robin and \u00c9tienne"] * 3)
    assert spelled(tokenizer, "Robin and \u00c9tienne") == ["Robin", "and", "\u00c9tienne"]
    assert spelled(tokenizer, "robin") == ["[UNK]"]


def test_a_script_without_spaces_gets_its_characters_before_its_rare_ones() -> None:
    common = "".join(chr(0x4E00 + number) for number in range(200))
    rare = "".join(chr(0x6E00 + number) for number in range(200))
    tokenizer = WordPiece.train(WordPiece.Config(vocab_size=300), [common, common, rare])
    assert tokenizer.vocabulary.size == 300
    assert 1 not in tokenizer.encode(common).ids
    assert (tokenizer.encode(rare).ids == 1).sum() == 200 - (300 - 5 - 200)


def test_text_without_a_word_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        WordPiece.train(WordPiece.Config(), ["", " \n"])
    assert str(caught.value) == "no text to train a tokenizer on: every document is empty"


@pytest.mark.parametrize(("field", "value"), [("vocab_size", 299), ("vocab_size", 1_000_001), ("min_frequency", 0)])
def test_a_config_has_limits(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=field):
        WordPiece.Config(**{field: value})


def test_what_is_saved_is_loaded_and_saved_again_to_the_same_bytes(wordpiece: WordPiece, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    wordpiece.save(first)
    loaded = WordPiece.load(first)
    loaded.save(second)
    names = ["tokenizer.json", "tokenizer_config.json"]
    assert sorted(path.name for path in first.iterdir()) == names
    assert [(first / name).read_bytes() for name in names] == [(second / name).read_bytes() for name in names]
    ours, theirs = wordpiece.vocabulary, loaded.vocabulary
    assert (ours.size, ours.special, ours.word_starts.tolist()) == (
        theirs.size,
        theirs.special,
        theirs.word_starts.tolist(),
    )


def test_a_vocabulary_without_the_unknown_token_of_its_model_is_refused(wordpiece: WordPiece, tmp_path: Path) -> None:
    wordpiece.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text().replace('"unk_token": "[UNK]"', '"unk_token": "?!"'))
    with pytest.raises(IntegrityError) as caught:
        WordPiece.load(tmp_path)
    assert str(caught.value) == f"{path}: the vocabulary lacks ?!"


TRAIN = """
import sys
from pathlib import Path
from lmkit_bert.wordpiece import WordPiece
from lmkit_bert.plugin import __file__ as path
text = Path(path).with_name("wordpiece.py").read_text()
WordPiece.train(WordPiece.Config(vocab_size=400), [text]).save(Path(sys.argv[1]))
"""


def test_the_same_text_gives_the_same_files_in_every_process(tmp_path: Path) -> None:
    """The trainer of `tokenizers` for "##" fails this: its vocabulary depends on the order of a hash map."""
    saved = []
    for threads in ("1", "2"):
        folder = tmp_path / threads
        folder.mkdir()
        environment = {"RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true", "PYTHONPATH": ":".join(sys.path)}
        subprocess.run([sys.executable, "-c", TRAIN, str(folder)], check=True, env=environment)
        saved.append([path.read_bytes() for path in sorted(folder.iterdir())])
    assert saved[0] == saved[1]


def assert_same_as_bert_tokenizer(texts: list[str], *, lowercase: bool) -> None:
    from transformers import BertTokenizer

    config = WordPiece.Config(vocab_size=2000, lowercase=lowercase, min_frequency=1)
    ours = WordPiece.train(config, texts)
    theirs = BertTokenizer(vocab=ours._pipeline.get_vocab(), do_lower_case=lowercase)
    assert len(theirs) == ours.vocabulary.size > 1000
    wrapped = [ours.wrap(ids).ids.tolist() for ids in ours.encode_batch(texts)]
    assert wrapped == theirs(texts)["input_ids"]
    assert len({number for ids in wrapped for number in ids}) > 200
    assert [ours.encode(text).ids.tolist() for text in texts[:600]] == [ids[1:-1] for ids in wrapped[:600]]


@pytest.mark.parametrize("lowercase", [True, False])
def test_ids_are_those_of_bert_tokenizer_on_naughty_strings(naughty_strings: list[str], lowercase: bool) -> None:
    assert_same_as_bert_tokenizer(naughty_strings, lowercase=lowercase)


@pytest.mark.data
@pytest.mark.parametrize("lowercase", [True, False])
def test_ids_are_those_of_bert_tokenizer_on_hard_strings(hard_strings: list[str], lowercase: bool) -> None:
    assert_same_as_bert_tokenizer(hard_strings, lowercase=lowercase)


def test_auto_tokenizer_reads_what_is_saved(wordpiece: WordPiece, naughty_strings: list[str], tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    wordpiece.save(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')  # as beside an exported model
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.model_input_names == ["input_ids", "token_type_ids", "attention_mask"]
    roles = ("pad", "unk", "cls", "sep", "mask")
    assert [getattr(theirs, f"{role}_token_id") for role in roles] == [0, 1, 2, 3, 4]
    texts = [*naughty_strings, "the [MASK] men", "THE[MASK]MEN [SEP]"]
    for first, second in zip(texts, reversed(texts[1:]), strict=False):  # it takes an empty second text for none
        one, two = wordpiece.encode(first).ids, wordpiece.encode(second).ids
        pair, told = wordpiece.wrap(one, two), theirs(first, second)
        assert told["input_ids"] == pair.ids.tolist()
        assert told["token_type_ids"] == pair.segments.tolist()
        assert theirs(first)["input_ids"] == wordpiece.wrap(one).ids.tolist()
        assert theirs.decode(one, skip_special_tokens=True) == wordpiece.decode(one)


@settings(max_examples=50, deadline=None)
@given(text=st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("the merry ")), max_size=30))
def test_the_fast_path_agrees_and_offsets_stay_within_the_text(wordpiece: WordPiece, text: str) -> None:
    encoding = wordpiece.encode(text)
    assert wordpiece.encode_batch([text])[0].tolist() == encoding.ids.tolist()
    assert encoding.offsets.shape == (len(encoding.ids), 2)
    flat = encoding.offsets.ravel()
    assert ((flat >= 0) & (flat <= len(text))).all()
    assert (np.diff(encoding.offsets[:, 0]) >= 0).all()
