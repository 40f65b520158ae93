"""Predictions: heads in architectures of transformers, each of which calls their parts otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from transformers import PreTrainedConfig

from lmkit.interfaces import HeadStyle

_LIKE_BERT = {
    "bias": "cls.predictions.bias",
    "dense": "cls.predictions.transform.dense",
    "norm": "cls.predictions.transform.LayerNorm",
}
_LIKE_ROBERTA = {"bias": "lm_head.bias", "dense": "lm_head.dense", "norm": "lm_head.layer_norm"}
PREDICTIONS: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(("camembert", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl"), _LIKE_ROBERTA),
    **dict.fromkeys(("bert", "deberta", "deberta-v2", "ernie"), _LIKE_BERT),
    "distilbert": {"bias": "vocab_projector.bias", "dense": "vocab_transform", "norm": "vocab_layer_norm"},
    "electra": {
        "bias": "generator_lm_head.bias",
        "dense": "generator_predictions.dense",
        "norm": "generator_predictions.LayerNorm",
    },
}
"""model_type -> part of a vocabulary head -> its name in that type's ...ForMaskedLM."""
_OF_TOKENS = {"tag": {"dense": "classifier"}, "span": {"dense": "qa_outputs"}}
# These classify by BERT's pooler, which is a part of their heads, not of their encoders.
_POOLED_BY_THE_HEAD = {"dense": "classifier.out_proj", "pooler.dense": "classifier.dense"}
_LIKE_BERTS = {**_OF_TOKENS, **dict.fromkeys(("classify", "regress"), _OF_TOKENS["tag"])}
_LIKE_ROBERTAS = {**_OF_TOKENS, **dict.fromkeys(("classify", "regress"), _POOLED_BY_THE_HEAD)}
TASKS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    **dict.fromkeys(("deberta", "deberta-v2", "distilbert", "electra"), _OF_TOKENS),
    **dict.fromkeys(("camembert", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl"), _LIKE_ROBERTAS),
    **dict.fromkeys(("bert", "ernie"), _LIKE_BERTS),
}
"""model_type -> kind of a task's head -> its parts there; other kinds compute what no head of lmkit does."""
_THEIR_OWN = ("distilbert", "bert", "deberta", "deberta-v2", "ernie")  # the others' is an exact GELU, whatever they say
_ACTIVATIONS = {
    "tanh": "tanh",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
}


def style_of(architecture: PreTrainedConfig) -> HeadStyle:
    """How heads of the vocabulary are built on an architecture."""
    tied = bool(getattr(architecture, "tie_word_embeddings", True))
    if architecture.model_type not in PREDICTIONS:
        return HeadStyle(tied=tied)
    said = getattr(architecture, "hidden_act", getattr(architecture, "activation", "gelu"))
    return HeadStyle(
        tied=tied,
        transform=True,
        activation=_ACTIVATIONS.get(said, "gelu") if architecture.model_type in _THEIR_OWN else "gelu",
        eps=getattr(architecture, "layer_norm_eps", 1e-12),
        bias=True,
    )
