"""Tokens: a tokenizer's files as transformers reads them, and special ids as its configs name them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer as Pipeline
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from lmkit.errors import FitError
from lmkit.interfaces import Trained

TEXTS = (
    "Robin Hood drew his bow.",
    "  two  spaces,\tand a line\nbreak ",
    "naïve café, \u0130stanbul, 50 €",
    "日本語の文 and an emoji 🏹",
    "",
)


def special_ids(model: Trained) -> dict[str, Any]:
    """Special ids under the names of a config.json."""
    special = model.tokenizer.vocabulary.special
    begin, end = special.get("bos", special.get("cls")), special.get("eos", special.get("sep"))
    ids: dict[str, Any] = {"pad_token_id": special["pad"], "bos_token_id": begin, "eos_token_id": end}
    if "cls" in special:
        ids |= {"cls_token_id": special["cls"], "sep_token_id": special.get("sep")}
    if model.objective.needs_context:
        ids["decoder_start_token_id"] = special["pad"]
    return ids


def save_tokenizer(model: Trained, folder: Path) -> None:
    """Write the tokenizer, with how much its model reads, and for a model of two halves with the end of a source."""
    model.tokenizer.save(folder)
    path = folder / "tokenizer_config.json"
    if not path.is_file() or not (folder / "tokenizer.json").is_file():
        raise FitError(f'tokenizer "{model.tokenizer.name}" writes no tokenizer.json for transformers to read')
    config = json.loads(path.read_text(encoding="utf-8"))
    if model.encoder.longest is not None:
        config["model_max_length"] = model.encoder.longest
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8", newline="\n")
    if model.objective.needs_context:
        end = _end(model)
        pipeline = Pipeline.from_file(str(folder / "tokenizer.json"))
        token = pipeline.id_to_token(end)
        single, pair = f"$A:0 {token}:0", f"$A:0 {token}:0 $B:1 {token}:1"
        pipeline.post_processor = TemplateProcessing(single=single, pair=pair, special_tokens=[(token, end)])
        pipeline.save(str(folder / "tokenizer.json"))


def check_tokenizer(model: Trained, folder: Path) -> None:
    """Raise FitError where AutoTokenizer gives other ids than lmkit's tokenizer."""
    theirs = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    for text in TEXTS:
        ids = model.tokenizer.encode(text).ids
        wanted = np.append(ids, _end(model)) if model.objective.needs_context else model.tokenizer.wrap(ids).ids
        if (found := theirs(text)["input_ids"]) != wanted.tolist():
            raise FitError(f"AutoTokenizer reads {text!r} as {found}, lmkit as {wanted.tolist()}")


def _end(model: Trained) -> int:
    special = model.tokenizer.vocabulary.special
    return special.get("eos", special.get("sep", special["pad"]))
