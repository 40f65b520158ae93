"""Folder: what a folder of transformers holds, by its files alone; nothing is fetched, no code of its own runs."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig

from lmkit.errors import DataError, FitError
from lmkit.interfaces import Tokenizer, Workshop
from lmkit_transformers.tokenizer import ROLES, AnyTokenizer, read_tokenizer, told
from lmkit_transformers.tokens import TEXTS

_LOCAL = {"local_files_only": True, "trust_remote_code": False}
_OLDER = ("vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")
"""Files from which transformers makes a tokenizer.json where there is none."""
_OF_PIPELINES = ("added_tokens", "decoder", "model", "normalizer", "pre_tokenizer")
"""Parts of a tokenizer.json that decide how a text is cut and put together again."""


@attrs.frozen(eq=False)
class Stored:
    """A model of transformers as a folder has it."""

    model: Any
    lacks: frozenset[str]
    """Weights of the class that the folder has not."""
    spare: tuple[str, ...]
    """Weights of the folder that the class has no place for."""

    @property
    def tied(self) -> bool:
        """Whether scores of the vocabulary are by the token embedding, whatever the config says."""
        output = self.model.get_output_embeddings()
        return output is None or output.weight.data_ptr() == self.model.get_input_embeddings().weight.data_ptr()


def read_config(folder: Path) -> PreTrainedConfig:
    """Raises FitError for one that names code which comes with the model."""
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder}: no config.json: expected a folder with a model of transformers")
    try:
        config = AutoConfig.from_pretrained(folder, **_LOCAL)
    except Exception as error:  # each config checks itself, by errors of many kinds
        raise DataError(f"{folder / 'config.json'}: {told(error)}") from error
    if getattr(config, "auto_map", None):
        raise FitError(f"{folder}: its model is code of its own (auto_map), which is not run")
    assert isinstance(config, PreTrainedConfig)
    if not isinstance(getattr(config, "vocab_size", None), int):
        raise FitError(f'{folder}: a "{config.model_type}" is no model over one vocabulary of tokens')
    return config


def read_model(auto: Any, folder: Path) -> Stored:
    """The model, in float32, by the class that `auto` finds for it."""
    options = {**_LOCAL, "dtype": torch.float32, "use_safetensors": True, "ignore_mismatched_sizes": True}
    try:
        model, info = auto.from_pretrained(folder, output_loading_info=True, **options)
    except SafetensorError as error:
        raise DataError(f"{folder}: model.safetensors cannot be read: {told(error)}") from error
    except Exception as error:  # each class checks its config and files in its own way
        raise DataError(f"{folder}: transformers cannot load it: {type(error).__name__}: {told(error)}") from error
    if wrong := sorted(info["mismatched_keys"]):
        name, stored, wanted = wrong[0]
        raise DataError(
            f"{folder}: {name} has the shape {list(stored)} in model.safetensors, but {list(wanted)} by config.json"
        )
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise DataError(f"{folder}: {name} in model.safetensors has values that are not numbers")
    return Stored(model, frozenset(info["missing_keys"]), tuple(sorted(info["unexpected_keys"])))


def check_weights(folder: Path) -> None:
    """Raise DataError where there are none, or where an index names files that are not weights of this very folder."""
    if not any(folder.glob("*.safetensors")):
        stored = " (a .bin file is a pickle, which can run code, and is not read)" if any(folder.glob("*.bin")) else ""
        raise DataError(f"{folder}: no .safetensors file{stored}")
    for index in folder.glob("*.index.json"):
        try:
            named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise DataError(f"{index}: cannot be read: {error}") from error
        for name in named:
            if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
                raise DataError(f"{index}: names {name!r}; expected a .safetensors file beside it")


def find_tokenizer(folder: Path, config: PreTrainedConfig, workshop: Workshop) -> Tokenizer:
    """An installed tokenizer that reads the folder's files and gives the same ids; else the one that reads any."""
    with TemporaryDirectory() as place:
        files = folder if (folder / "tokenizer.json").is_file() else _converted(folder, Path(place))
        theirs = read_tokenizer(files)
        if (highest := max(theirs.get_vocab().values(), default=-1)) >= config.vocab_size:
            raise DataError(
                f"{folder}: its tokenizer has ids to {highest:,}, its model embeds {config.vocab_size:,} (vocab_size "
                f"in config.json): one of them is another model's"
            )
        try:
            theirs(list(TEXTS))
        except Exception as error:  # the library raises nothing more exact
            raise DataError(f"{folder}: its tokenizer cannot read every text: {told(error)}") from error
        for cls in workshop.tokenizers.values():
            made = None
            with suppress(Exception):  # whatever a tokenizer says of files that are not its own
                made = None if cls is AnyTokenizer else cls.load(files)
            if made is not None and made.vocabulary.size == config.vocab_size and _same(made, theirs, config):
                return made
    return AnyTokenizer(theirs, size=config.vocab_size)


def _converted(folder: Path, place: Path) -> Path:
    """A folder with a tokenizer.json, made of files that are older than it."""
    if not any((folder / name).is_file() for name in _OLDER):
        raise DataError(f"{folder}: no tokenizer.json; without it, transformers would make up a vocabulary")
    try:
        AutoTokenizer.from_pretrained(folder, **_LOCAL).save_pretrained(place)
    except Exception as error:  # transformers, tokenizers and sentencepiece raise nothing more exact
        raise DataError(f"{folder}: no tokenizer.json, and none can be made of what is there: {told(error)}") from error
    return place


def _same(ours: Tokenizer, theirs: Any, config: PreTrainedConfig) -> bool:
    """Whether both cut texts by the same pipeline, put the same around them, and have the same special tokens."""
    special = ours.vocabulary.special
    roles = {role: getattr(theirs, f"{role}_token_id", None) for role in ROLES}
    if any(number is not None and special.get(role) != number for role, number in roles.items()):
        return False
    with TemporaryDirectory() as place:
        ours.save(Path(place))
        mine = json.loads((Path(place) / "tokenizer.json").read_text(encoding="utf-8"))
    other = json.loads(theirs.backend_tokenizer.to_str())
    if any(mine[part] != other[part] for part in _OF_PIPELINES):
        return False
    # A model of two halves reads a text and its end, and nothing before it.
    end = [config.eos_token_id] if getattr(config, "is_encoder_decoder", False) else None
    cut = [ours.encode(text).ids for text in TEXTS]
    if end is not None:
        return all(theirs(text)["input_ids"] == [*ids.tolist(), *end] for text, ids in zip(TEXTS, cut, strict=True))
    if any(theirs(text)["input_ids"] != ours.wrap(ids).ids.tolist() for text, ids in zip(TEXTS, cut, strict=True)):
        return False
    pair, wrapped = theirs(*TEXTS[:2], return_token_type_ids=True), ours.wrap(*cut[:2])
    told_apart = getattr(config, "type_vocab_size", 0) > 1
    same_segments = not told_apart or pair["token_type_ids"] == wrapped.segments.tolist()
    return bool(pair["input_ids"] == wrapped.ids.tolist() and same_segments)
