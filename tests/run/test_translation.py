"""A small model really learns to translate, across and by prefix, from a file of pairs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lmkit

WORDS = {"the": "le", "old": "vieux", "red": "rouge", "fox": "renard", "bow": "arc", "sees": "voit", "takes": "prend"}
TRAIN = {"precision": "fp32", "compile": "off", "threads": 1, "optimizer": "muon", "learning_rate": 0.004}


def pairs() -> list[tuple[str, str]]:
    """Four words in an order that nothing but the source tells."""
    rng = np.random.default_rng(0)
    sources = [rng.choice(list(WORDS), 4) for _ in range(300)]
    return [(" ".join(words), " ".join(WORDS[word] for word in words)) for words in sources]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    lines = [f"{source}\t{target}" for source, target in pairs()]
    (folder / "train.tsv").write_text("source\ttarget\n" + "\n".join(lines[:-20]) + "\n")
    (folder / "test.tsv").write_text("source\ttarget\n" + "\n".join(lines[-20:]) + "\n")
    (folder / "book.txt").write_text("\n".join(text for pair in pairs() for text in pair))
    return folder


def started(folder: Path, encoder: dict[str, Any], objective: str) -> lmkit.Run:
    return lmkit.pretrain(
        {
            "tokenizer": {"use": "bpe", "vocab_size": 360, "marks": 20},
            "data": {"train": [str(folder / "book.txt")], "document": "line"},
            "encoder": {"layers": 1, "width": 48, "heads": 2, **encoder},
            "objective": {"use": objective},
            "train": {**TRAIN, "steps": 20, "block_tokens": 32, "batch_tokens": 512},
        },
        run=folder / objective,
        quiet=True,
    )


def learned(folder: Path, run: lmkit.Run, **task: Any) -> lmkit.Run:
    recipe = {
        "task": {"use": "translation", "max_new_tokens": 16, "beams": 3, **task},
        "data": {"train": [str(folder / "train.tsv")]},
        "train": {**TRAIN, "steps": 300, "batch_tokens": 512},
    }
    return lmkit.finetune(run, recipe, run=folder / f"{run.folder.name}-translates", quiet=True)


@pytest.mark.parametrize(
    ("encoder", "objective", "by"),
    [
        pytest.param({"use": "t5", "head_width": 24}, "span-denoising", "context", marks=pytest.mark.slow),
        ({"use": "gpt2", "positions": 64}, "clm", "prefix"),
    ],
)
def test_it_learns_and_translates_what_it_has_not_seen(
    folder: Path, encoder: dict[str, Any], objective: str, by: str
) -> None:
    run = learned(folder, started(folder, encoder, objective), by=by)
    found = lmkit.evaluate(run, rows=folder / "test.tsv", bleu=True)["rows"]
    assert found["exact_match"] > 0.7
    assert found["bleu"] > 80
    assert found["chrf"] > 80
    source, target = pairs()[1]
    assert run.translate(source)["translation"] == target
    one, *_ = run.predict([source], beams=1)
    assert one["translation"] == target
    assert one["ended"]
    bad = list(run.predict([{"source": ""}, {"text": "x"}, {"source": source}]))
    assert "the text is empty" in bad[0]["error"]
    assert 'no column "source"' in bad[1]["error"]
    assert bad[2]["translation"] == target
    again = lmkit.load(run.folder)
    assert list(again.predict([source])) == list(run.predict([source]))


def test_a_decoder_is_needed_to_read_across(folder: Path) -> None:
    gpt = started(folder, {"use": "gpt2", "positions": 64}, "prefix-lm")
    with pytest.raises(
        lmkit.FitError, match=r'"seq2seq" needs an encoder that reads a context; encoder "gpt2" does not'
    ):
        learned(folder, gpt)
