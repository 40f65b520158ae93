"""The peer's models, of the shapes that lmkit's encoders have by default, and what makes their batches."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lmkit_seq2seq.span_denoising import Denoiser, spans
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    GPT2Config,
    GPT2LMHeadModel,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from benchmarks.training.workloads import Shape

_SPECIAL = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0)
MARKS = 100
"""Of span denoising: the last tokens of the vocabulary stand for them."""


def build_model(encoder: str, shape: Shape, *, dropout: float) -> PreTrainedModel:
    """A fresh model; those that come without dropout have none."""
    torch.manual_seed(1)
    return _MODELS[encoder](shape, dropout)


def _common(shape: Shape) -> dict[str, int]:
    return {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "max_position_embeddings": shape.block_tokens,
    }


def _bert(shape: Shape, dropout: float) -> PreTrainedModel:
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    return BertForMaskedLM(BertConfig(**_common(shape), intermediate_size=4 * shape.width, **rates))


def _gpt2(shape: Shape, dropout: float) -> PreTrainedModel:
    rates = {"resid_pdrop": dropout, "embd_pdrop": dropout, "attn_pdrop": dropout}
    size = {"n_embd": shape.width, "n_layer": shape.layers, "n_head": shape.heads, "n_positions": shape.block_tokens}
    return GPT2LMHeadModel(GPT2Config(vocab_size=shape.vocabulary, **size, **rates, bos_token_id=0, eos_token_id=0))


def _modernbert(shape: Shape, _: float) -> PreTrainedModel:
    return ModernBertForMaskedLM(ModernBertConfig(**_common(shape), intermediate_size=shape.width * 3 // 2, **_SPECIAL))


def _qwen3(shape: Shape, _: float) -> PreTrainedModel:
    size = {"intermediate_size": 3 * shape.width, "num_key_value_heads": shape.heads // 2, "head_dim": 64}
    return Qwen3ForCausalLM(Qwen3Config(**_common(shape), **size, tie_word_embeddings=True))


def _t5(shape: Shape, dropout: float) -> PreTrainedModel:
    size = {"d_model": shape.width, "d_kv": 64, "d_ff": shape.width * 5 // 2}
    size |= {"num_layers": shape.layers, "num_heads": shape.heads}
    special = {"pad_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 0}
    gated = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": True}
    return T5ForConditionalGeneration(
        T5Config(vocab_size=shape.vocabulary, **size, **gated, **special, dropout_rate=dropout)
    )


_MODELS: Mapping[str, Callable[[Shape, float], PreTrainedModel]] = {
    "bert": _bert,
    "gpt2": _gpt2,
    "modernbert": _modernbert,
    "qwen3": _qwen3,
    "t5": _t5,
}


def collator(objective: str, tokenizer: PreTrainedTokenizerFast, vocabulary: int) -> Any:
    """What makes a batch of blocks; transformers has none for span denoising."""
    if objective == "span-denoising":
        return SpanCollator(vocabulary)
    return DataCollatorForLanguageModeling(tokenizer, mlm=objective == "mlm")


class SpanCollator:
    """T5's span denoising of blocks of equal length, which makes batches of equal length; the spans are lmkit's."""

    def __init__(self, vocabulary: int) -> None:
        self._last = vocabulary - 1
        self._rng = np.random.default_rng(1)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        read, said = zip(*(self._noised(np.asarray(row["input_ids"])) for row in rows), strict=True)
        return {"input_ids": torch.tensor(np.stack(read)), "labels": torch.tensor(np.stack(said))}

    def _noised(self, tokens: Any) -> tuple[Any, Any]:
        noise = spans(len(tokens), Denoiser(), MARKS, self._rng)
        begins = noise & ~np.concatenate([[False], noise[:-1]])
        marks = self._last - np.arange(begins.sum())
        masked = tokens.copy()
        masked[begins] = marks
        said = np.insert(tokens[noise], np.flatnonzero(begins[noise]), marks)
        return np.append(masked[begins | ~noise], 0), np.append(said, 0)
