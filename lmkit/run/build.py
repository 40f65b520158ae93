"""build_data: tokenizer and token store, before an expensive machine is paid for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmkit.recipe import Pretraining, read_pretraining
from lmkit.run.pretrain import check_fit
from lmkit.run.texts import texts_of, tokenizer_of


def build_data(
    recipe: Path | str | Mapping[str, Any] | Pretraining,
    *,
    overrides: Sequence[str] = (),
    local_files: Sequence[Path | str] = (),
) -> dict[str, Any]:
    """Train the tokenizer and tokenize the text, unless an earlier run has; says what there is."""
    begun = time.perf_counter()
    read = read_pretraining(recipe, overrides=overrides, local_files=local_files)
    check_fit(read)
    tokenizer, _ = tokenizer_of(read.tokenizer, read.data)
    texts = texts_of(read.data, tokenizer, block_tokens=read.train.block_tokens, seed=read.seed)
    train = texts.stores.train
    return {
        "vocabulary": tokenizer.vocabulary.size,
        "documents": sum(store.documents for store in train),
        "bytes": sum(store.total_bytes for store in train),
        "tokens": sum(store.total_tokens for store in train),
        "bytes_per_token": sum(s.total_bytes for s in train) / sum(s.total_tokens for s in train),
        "blocks_per_epoch": len(texts.stream),
        "filler": texts.filler,
        "validation": {name: store.total_tokens for name, store in texts.stores.validation.items()},
        "skipped": {kind: sum(s.tally.skipped.get(kind, 0) for s in train) for s in train for kind in s.tally.skipped},
        "stores": [str(store.folder) for store in train],
        "seconds": round(time.perf_counter() - begun, 2),
    }
