"""Every encoder and every objective trains in a step that torch.compile built, in bf16."""

from __future__ import annotations

from pathlib import Path

import pytest

import lmkit
from lmkit.engine.device import can_compile
from tests.test_swap import ACROSS, ENCODERS, OBJECTIVES

PAIRS = [(encoder, "clm") for encoder in ENCODERS if encoder != "t5"]
PAIRS += [("bert", "mlm"), ("modernbert", "mlm"), ("t5", "span-denoising")]
PAIRS += [("qwen3", objective) for objective in OBJECTIVES if objective not in (*ACROSS, "clm")]
WIDER = {"layers": 2, "width": 128, "heads": 2}
"""Wide enough for vectors of 16 numbers, over whose ends kernels stumble."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # dynamo's own, where a graph breaks; it hides it
@pytest.mark.skipif(can_compile("cpu") is not None, reason=f"torch.compile cannot work here: {can_compile('cpu')}")
@pytest.mark.parametrize(("encoder", "objective"), PAIRS)
def test_what_is_compiled_computes_what_the_model_does(tmp_path: Path, encoder: str, objective: str) -> None:
    song = tmp_path / "song.txt"
    song.write_text("Robin Hood in greenwood stood, and under a tree was he.\n" * 80)
    shape = ENCODERS[encoder] if encoder == "transformers" else WIDER
    table = {
        "tokenizer": {"use": "bpe", "vocab_size": 380, "middle": True, "marks": 20},
        "data": {"train": [str(song)], "document": "line"},
        "encoder": {"use": encoder, **shape},
        "objective": {"use": objective, **OBJECTIVES[objective]},
        "train": {"steps": 3, "block_tokens": 64, "batch_tokens": 512, "compile": "on", "precision": "bf16"},
    }
    assert lmkit.pretrain(table, run=tmp_path / "run", quiet=True).step == 3  # compile = "on" refuses what differs
