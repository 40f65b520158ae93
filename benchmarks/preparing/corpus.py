"""A corpus of any size, the books repeated, and a real tokenizer of 8,192 tokens, which both sides read."""

import os
import shutil
from pathlib import Path

from lmkit_gpt.bpe import BytePairConfig, BytePairEncoding

from benchmarks.places import CACHE, TRAIN


def corpus(megabytes: int) -> Path:
    """A folder with corpus.txt and the tokenizer's files, made once a machine."""
    folder = CACHE / f"corpus-{megabytes}"
    if not folder.is_dir():
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        unfinished.mkdir(parents=True)
        repeat_books(unfinished / "corpus.txt", megabytes * 1_000_000)
        train_tokenizer().save(unfinished)
        unfinished.rename(folder)
    return folder


def repeat_books(path: Path, size: int) -> None:
    """Write so many bytes of books, over and over."""
    books = sorted(TRAIN.rglob("*.md"))
    with path.open("wb") as file:
        while file.tell() < size:
            for book in books:
                with book.open("rb") as source:
                    shutil.copyfileobj(source, file)
                if file.tell() >= size:
                    break
        file.truncate(size)


def train_tokenizer() -> BytePairEncoding:
    """Of the validation books."""
    books = sorted((TRAIN.parent / "validation").rglob("*.md"))
    return BytePairEncoding.train(BytePairConfig(), (book.read_text(encoding="utf-8") for book in books))
