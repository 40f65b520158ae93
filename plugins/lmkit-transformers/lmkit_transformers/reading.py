"""Reading: a folder of transformers becomes a model of lmkit. Nothing is fetched, and none of its code runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from transformers import AutoConfig, AutoModel, PreTrainedConfig

from lmkit.errors import DataError, FitError
from lmkit.interfaces import Imported, Tokenizer, Trained, Workshop
from lmkit_transformers.compare import difference
from lmkit_transformers.encoder import HELPERS, AnyEncoder, AnyEncoderConfig
from lmkit_transformers.folder import Stored, check_weights, find_tokenizer, read_config, read_model
from lmkit_transformers.kinds import KINDS, HeadKind
from lmkit_transformers.weights import body_of, head_of, take

_OF_HEADS = ("id2label", "label2id", "num_labels", "problem_type", "finetuning_task")
_PRETRAINING = {"BertForPreTraining": "token"}
"""Classes that no Auto class of a kind has, whose head of that kind another class loads."""
_OF_DROPPING = ("dropout", "dropout_prob", "dropout_rate", "pdrop", "hidden_dropout", "attention_dropout")


@attrs.frozen(eq=False)
class _Source:
    """What is read."""

    folder: Path
    workshop: Workshop
    tokenizer: Tokenizer
    config: PreTrainedConfig


def read_folder(folder: Path, workshop: Workshop) -> Imported:
    """The model in `folder`, head included where lmkit has one that gives the same scores."""
    config = read_config(folder)
    check_weights(folder)
    source = _Source(folder, workshop, find_tokenizer(folder, config, workshop), config)
    name = _kind(config)
    stored = read_model(KINDS[name or "embedding"].auto, folder)
    use, shape, notes = _encoder(source, stored)
    if name in (None, "embedding"):
        return _without_head(source, use, shape, notes)
    try:
        model = _built(source, use, shape, name)
        if KINDS[name].needs_head and name not in model.encoder.transformers_heads:
            return _without_head(source, use, shape, notes)
        return Imported(model=model, notes=[*notes, *_filled(source, model, KINDS[name], stored)])
    except FitError:
        if use != AnyEncoder.name:
            raise
        return _without_head(source, use, shape, notes)  # its head computes what none of lmkit's does


def _encoder(source: _Source, stored: Stored) -> tuple[str, Any, list[str]]:
    """Which encoder reads it, its Config, and sentences on what is not as it was."""
    config, encoders = source.config, source.workshop.encoders
    # of the class itself: a variant that inherits it may compute something else
    native = {vars(cls).get("transformers_type"): use for use, cls in encoders.items()}
    use = native.get(config.model_type, AnyEncoder.name)
    if use == AnyEncoder.name:
        return use, _general(config, tied=stored.tied), []
    said = config.to_dict() | {"tie_word_embeddings": stored.tied}
    try:
        shape = encoders[use].from_transformers(said)
    except FitError as error:
        if encoders[use].takes_context:  # which is not one stack
            raise
        try:
            return AnyEncoder.name, _general(config, tied=stored.tied), [f"{source.folder}: {error}; read as it is"]
        except FitError:
            raise error from None
    rates = {key: value for key, value in said.items() if key.endswith(_OF_DROPPING) and isinstance(value, float)}
    rates = {key: value for key, value in rates.items() if not key.startswith(("classifier", "summary"))}
    if len(set(rates.values())) > 1:
        several = ", ".join(f"{key} {value:g}" for key, value in sorted(rates.items()))
        return use, shape, [f"{source.folder}: it drops out by {several}; here all by {shape.dropout:g}"]
    return use, shape, []


def _without_head(source: _Source, use: str, shape: Any, notes: Sequence[str]) -> Imported:
    """The encoder alone, for embeddings and for fine-tuning."""
    folder, config, model = source.folder, source.config, _built(source, use, shape, "embedding")
    if model.encoder.takes_context:
        able = ", ".join(model.encoder.transformers_heads)
        raise FitError(f"{folder}: a {config.model_type} is imported with its head only, of kind {able}")
    found = [*notes, *_filled(source, model, KINDS["embedding"], read_model(AutoModel, folder))]
    if _kind(config) != "embedding":
        named = config.architectures or ["a class that is not named"]
        which = ", ".join(map(str, [named] if isinstance(named, str) else named))
        found.append(f"{folder}: lmkit has no head like that of {which}: it is left out")
    return Imported(model=model, notes=found)


def _filled(source: _Source, model: Trained, kind: HeadKind, stored: Stored) -> list[str]:
    """Give `model` the weights in the folder; sentences on those that are not there, or have no place.

    Raises FitError where it then gives other scores.
    """
    folder, notes = source.folder, list[str]()
    base = read_model(AutoModel, folder) if kind.needs_head else stored
    body, head = body_of(base.model, base.lacks), dict[str, Any]()
    if kind.needs_head:
        body |= body_of(stored.model, stored.lacks)  # some classes call their base otherwise: AutoModel finds nothing
        head = head_of(stored.model, stored.lacks)
        prefix = f"{stored.model.base_model_prefix}."
        if spare := [name for name in stored.spare if name.removeprefix(prefix) not in body]:
            notes.append(f"{folder}: no place here for {_some(spare)}: left out")
    missing, of_head = take(model, body, head)
    of_class = {name.removeprefix(f"{stored.model.base_model_prefix}.") for name in stored.lacks}
    if lost := [name for name in missing if name in of_class and "pooler" not in name.split(".")]:
        raise DataError(f"{folder}: model.safetensors lacks weights of the encoder, {_some(lost)}")
    if fresh := [*missing, *of_head]:
        notes.append(f"{folder}: it has no {_some(fresh)}: these are as they were drawn")
    of_pooler = [name for name in stored.lacks if "pooler" in name.split(".")]
    if len(of_pooler) == len(stored.lacks) and (kind.of_tokens or not of_pooler):
        difference(model, kind, stored.model)
    return notes


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:3])} and {len(names) - 3} more" if len(names) > 3 else ", ".join(names)


def _kind(config: PreTrainedConfig) -> str | None:
    """The kind of head that a folder's class has."""
    named = config.architectures or ()
    for architecture in [named] if isinstance(named, str) else named:
        if architecture in _PRETRAINING:
            return _PRETRAINING[architecture]
        for name, kind in KINDS.items():
            known = kind.auto._model_mapping
            if type(config) in known and known[type(config)].__name__ == architecture:
                one = config.problem_type is None and config.num_labels == 1
                if name == "classify" and (one or config.problem_type == "regression"):
                    return "regress"
                return name
    return None


def _built(source: _Source, use: str, shape: Any, name: str) -> Trained:
    """A model with fresh weights and the head that a folder has."""
    config, (kind, chosen) = source.config, KINDS[name].made_by
    options: dict[str, Any] = {kind: chosen}
    causal = not _looks_both_ways(config)
    labels = [config.id2label[n] for n in sorted(config.id2label)]
    if name in ("classify", "tag"):
        options |= {"labels": labels}
    if name in ("classify", "regress", "choice", "tag", "span", "embedding") and causal:
        options |= {"attention": "causal"}
    if name == "classify" and config.problem_type == "multi_label_classification":
        options |= {"several": True}
    if name in ("classify", "regress") and getattr(config, "classifier_pooling", None) == "mean":
        options |= {"pooling": "mean"}
    return source.workshop.build(source.tokenizer, use, shape, **options)


def _looks_both_ways(config: PreTrainedConfig) -> bool:
    """Whether each token sees those after it."""
    if getattr(config, "is_encoder_decoder", False):
        return True
    masked, causal = (KINDS[name].auto._model_mapping for name in ("token", "next-token"))
    return type(config) not in causal or (type(config) in masked and not getattr(config, "is_decoder", False))


def _general(config: PreTrainedConfig, *, tied: bool) -> AnyEncoderConfig:
    """What differs from the defaults of its type; raises FitError where that does not say all of it."""
    plain: Mapping[str, Any] = config.to_diff_dict() | {"tie_word_embeddings": tied}
    plain = {key: value for key, value in plain.items() if key not in (*_OF_HEADS, *HELPERS)}
    null = tuple(key for key, value in plain.items() if value is None)
    shape = AnyEncoderConfig(config={**plain, "model_type": config.model_type}, null=null)
    fields = {key: value for key, value in plain.items() if key != "model_type"}
    before, after = config.to_dict(), AutoConfig.for_model(config.model_type, **fields).to_dict()
    ours = (*_OF_HEADS, *HELPERS, "tie_word_embeddings")
    lost = [key for key in before if key not in ours and before[key] != after.get(key)]
    if lost:
        raise FitError(f"config.json: {lost[0]} is {before[lost[0]]!r}, which a config of lmkit cannot say")
    return shape
