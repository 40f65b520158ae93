"""Models of transformers as folders, and what their encoders say once they are lmkit's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

import lmkit

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
IDS = torch.tensor([[7, 8, 9, 10, 11, 12]])


def stored(folder: Path, tokenizer: Path, name: str, **fields: Any) -> PreTrainedModel:
    """A random model of a class of transformers, saved with a tokenizer."""
    size = len(transformers.AutoTokenizer.from_pretrained(tokenizer))
    torch.manual_seed(1)
    cls = getattr(transformers, name)
    model = cls(cls.config_class(vocab_size=size, pad_token_id=0, **fields)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape) * 0.05)
    model.save_pretrained(folder)
    for file in tokenizer.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return model


def hidden(run: lmkit.Run, attention: Any) -> torch.Tensor:
    from lmkit.batch import Example, pack

    inputs, _ = pack([Example(tokens=IDS[0].numpy(), lengths=(6,))], attention=attention, filler=0)
    with torch.no_grad():
        states: torch.Tensor = run.module.encoder(inputs)[:6]
    return states
