"""The Trainer's data, as its own example scripts make it: text -> tokens -> blocks, by `datasets`, cached on disk."""

import os
from itertools import chain
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

from datasets import Dataset, load_dataset, load_from_disk
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from benchmarks.places import CACHE, TRAIN
from benchmarks.training.workloads import Shape


def prepare(objective: str, shape: Shape) -> tuple[Dataset, PreTrainedTokenizerFast]:
    """Blocks of "mlm" or "clm" and their tokenizer; made once a machine, read from the cache after that."""
    folder = CACHE / f"blocks-{objective}-{shape.vocabulary}-{shape.block_tokens}"
    if not folder.is_dir():
        _build(objective, shape, folder)
    return load_from_disk(folder / "blocks"), PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer")


def _build(objective: str, shape: Shape, folder: Path) -> None:
    files = sorted(map(str, TRAIN.rglob("*.md")))
    if not files:
        raise SystemExit(f"no text in {TRAIN}: LMKIT_DATA says where the real data is")
    lines = load_dataset("text", data_files=files, split="train", cache_dir=str(CACHE / "datasets"))
    lines = lines.filter(lambda row: bool(row["text"].strip()))
    tokenizer = (_wordpiece if objective == "mlm" else _byte_level)(lines, shape.vocabulary)
    length = shape.block_tokens

    def tokenize(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        encoded = tokenizer(rows["text"], return_special_tokens_mask=objective == "mlm")
        return {name: encoded[name] for name in encoded if name in ("input_ids", "special_tokens_mask")}

    def group(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        joined = {name: list(chain.from_iterable(values)) for name, values in rows.items()}
        whole = len(joined["input_ids"]) // length * length
        return {name: [v[i : i + length] for i in range(0, whole, length)] for name, v in joined.items()}

    blocks = lines.map(tokenize, batched=True, remove_columns=["text"]).map(group, batched=True)
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    blocks.save_to_disk(unfinished / "blocks")
    tokenizer.save_pretrained(unfinished / "tokenizer")
    unfinished.rename(folder)


def _wordpiece(lines: Dataset, vocabulary: int) -> PreTrainedTokenizerFast:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(lines["text"], trainer)
    ids = tokenizer.get_vocab()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    roles = zip(("pad", "unk", "cls", "sep", "mask"), special, strict=True)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{f"{role}_token": token for role, token in roles})


def _byte_level(lines: Dataset, vocabulary: int) -> PreTrainedTokenizerFast:
    end = "<|endoftext|>"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[end],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines["text"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, pad_token=end)
