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

from benchmarks.shape import BLOCK_TOKENS, HEADS, LAYERS, VOCABULARY, WIDTH

_COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": BLOCK_TOKENS,
}
_SPECIAL = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0)
MARKS = 100
"""Of span denoising: the last tokens of the vocabulary stand for them."""


def build_model(encoder: str, *, dropout: float) -> PreTrainedModel:
    """A fresh model; those that come without dropout have none."""
    torch.manual_seed(1)
    return _MODELS[encoder](dropout)


def _bert(dropout: float) -> PreTrainedModel:
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    return BertForMaskedLM(BertConfig(**_COMMON, intermediate_size=4 * WIDTH, **rates))


def _gpt2(dropout: float) -> PreTrainedModel:
    rates = {"resid_pdrop": dropout, "embd_pdrop": dropout, "attn_pdrop": dropout}
    shape = {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": BLOCK_TOKENS}
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, **shape, **rates, bos_token_id=0, eos_token_id=0))


def _modernbert(_: float) -> PreTrainedModel:
    return ModernBertForMaskedLM(ModernBertConfig(**_COMMON, intermediate_size=WIDTH * 3 // 2, **_SPECIAL))


def _qwen3(_: float) -> PreTrainedModel:
    shape = {"intermediate_size": 3 * WIDTH, "num_key_value_heads": HEADS // 2, "head_dim": 64}
    return Qwen3ForCausalLM(Qwen3Config(**_COMMON, **shape, tie_word_embeddings=True))


def _t5(dropout: float) -> PreTrainedModel:
    shape = {"d_model": WIDTH, "d_kv": 64, "d_ff": WIDTH * 5 // 2, "num_layers": LAYERS, "num_heads": HEADS}
    special = {"pad_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 0}
    gated = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": True}
    return T5ForConditionalGeneration(
        T5Config(vocab_size=VOCABULARY, **shape, **gated, **special, dropout_rate=dropout)
    )


_MODELS: Mapping[str, Callable[[float], PreTrainedModel]] = {
    "bert": _bert,
    "gpt2": _gpt2,
    "modernbert": _modernbert,
    "qwen3": _qwen3,
    "t5": _t5,
}


def collator(objective: str, tokenizer: PreTrainedTokenizerFast) -> Any:
    """What makes a batch of blocks; transformers has none for span denoising."""
    if objective == "span-denoising":
        return SpanCollator()
    return DataCollatorForLanguageModeling(tokenizer, mlm=objective == "mlm")


class SpanCollator:
    """T5's span denoising of blocks of equal length, which makes batches of equal length; the spans are lmkit's."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(1)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        read, said = zip(*(self._noised(np.asarray(row["input_ids"])) for row in rows), strict=True)
        return {"input_ids": torch.tensor(np.stack(read)), "labels": torch.tensor(np.stack(said))}

    def _noised(self, tokens: Any) -> tuple[Any, Any]:
        noise = spans(len(tokens), Denoiser(), MARKS, self._rng)
        begins = noise & ~np.concatenate([[False], noise[:-1]])
        marks = VOCABULARY - 1 - np.arange(begins.sum())
        masked = tokens.copy()
        masked[begins] = marks
        said = np.insert(tokens[noise], np.flatnonzero(begins[noise]), marks)
        return np.append(masked[begins | ~noise], 0), np.append(said, 0)
