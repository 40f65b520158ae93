"""Tokenizer "transformers": it conforms, with the patterns of several models."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from lmkit_transformers.tokenizer import AnyTokenizer, AnyTokenizerConfig
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerFast

from lmkit.errors import DataError, FitError, IntegrityError
from lmkit.testing import TEXTS, Check, conformance

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def wordpiece() -> PreTrainedTokenizerFast:
    names = [*SPECIAL, *"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
    return BertTokenizer(vocab={name: number for number, name in enumerate(names)})


def byte_level() -> PreTrainedTokenizerFast:
    names = ["<s>", "</s>", "<pad>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    pipeline = Tokenizer(models.BPE(vocab={name: number for number, name in enumerate(names)}, merges=[]))
    pipeline.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pipeline.decoder = decoders.ByteLevel()
    pipeline.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), add_prefix_space=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=pipeline, bos_token="<s>", eos_token="</s>", pad_token="<pad>", mask_token="<mask>"
    )


FOLDERS = Path(tempfile.mkdtemp())
"""Where their files are: cases are made when they are collected."""


def folder(name: str) -> Path:
    place = FOLDERS / name
    if not place.exists():
        {"wordpiece": wordpiece, "byte_level": byte_level}[name]().save_pretrained(place)
    return place


@pytest.mark.parametrize("check", conformance("lmkit_transformers.plugin"))
def test_the_plugin_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check", conformance(AnyTokenizer, AnyTokenizerConfig(like=folder("byte_level"), vocab_size=400))
)
def test_one_of_bytes_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("name", ["wordpiece", "byte_level"])
def test_ids_are_those_of_transformers(name: str) -> None:
    ours, theirs = AnyTokenizer.load(folder(name)), AutoTokenizer.from_pretrained(folder(name))
    for text in TEXTS:
        ids = ours.encode(text).ids
        assert ours.wrap(ids).ids.tolist() == theirs(text)["input_ids"]
        both, pair = ours.wrap(ids, ids), theirs(text, text)
        assert both.ids.tolist() == pair["input_ids"]
        if name == "wordpiece":
            assert both.segments.tolist() == pair["token_type_ids"]
        assert (both.ids[both.first : both.first + len(ids)] == ids).all()
        assert (both.ids[both.second : both.second + len(ids)] == ids).all()


def test_what_is_no_tokenizer_is_told(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"no tokenizer\.json"):
        AnyTokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(IntegrityError, match="not a tokenizer"):
        AnyTokenizer.load(tmp_path)
    with pytest.raises(IntegrityError, match=r"no tokenizer\.json"):
        AnyTokenizer.train(AnyTokenizerConfig(like=tmp_path / "absent"), ["text"])
    with pytest.raises(FitError, match="WordPiece does not repeat itself"):
        AnyTokenizer.train(AnyTokenizerConfig(like=folder("wordpiece")), ["text"])
    with pytest.raises(FitError, match="needs like"):
        AnyTokenizer.train(AnyTokenizerConfig(), ["text"])
    for file in folder("wordpiece").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "vocabulary_size.json").write_text("[]")
    with pytest.raises(IntegrityError, match=r"vocabulary_size\.json"):
        AnyTokenizer.load(tmp_path)
    with pytest.raises(DataError, match="character 2 is half of a surrogate pair"):
        AnyTokenizer.load(folder("wordpiece")).encode("ab\ud800")


def test_a_vocabulary_whose_tokens_share_an_id_is_told_at_once(tmp_path: Path) -> None:
    for file in folder("wordpiece").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    pipeline = json.loads((tmp_path / "tokenizer.json").read_text())
    pipeline["model"]["vocab"] = dict.fromkeys(pipeline["model"]["vocab"], 0)
    (tmp_path / "tokenizer.json").write_text(json.dumps(pipeline))
    with pytest.raises(IntegrityError, match=r"not a tokenizer: (several of its tokens have one id|.*UNK)"):
        AnyTokenizer.load(tmp_path)
