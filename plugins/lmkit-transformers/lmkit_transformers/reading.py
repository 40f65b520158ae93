"""Reading: a folder of transformers becomes a model of lmkit. Nothing is fetched, and none of its code runs."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, PreTrainedConfig

from lmkit.errors import DataError, FitError
from lmkit.interfaces import Imported, Tokenizer, Trained, Workshop
from lmkit_transformers.compare import difference
from lmkit_transformers.encoder import HELPERS, AnyEncoderConfig
from lmkit_transformers.kinds import KINDS, HeadKind
from lmkit_transformers.tokenizer import AnyTokenizer, read_tokenizer
from lmkit_transformers.tokens import TEXTS
from lmkit_transformers.weights import body_of, take

_READS = {"dtype": torch.float32, "local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
_OF_HEADS = ("id2label", "label2id", "num_labels", "problem_type", "finetuning_task")
_PRETRAINING = {"BertForPreTraining": "token"}
"""Classes that no Auto class of a kind has, whose head of that kind another class loads."""


def read_folder(folder: Path, workshop: Workshop) -> Imported:
    """The model in `folder`, head included where lmkit has one that gives the same scores."""
    config = _config(folder)
    if not any(folder.glob("*.safetensors")):
        stored = " (a .bin file is a pickle, which can run code, and is not read)" if any(folder.glob("*.bin")) else ""
        raise DataError(f"{folder}: no .safetensors file{stored}")
    _check_shards(folder)
    tokenizer = _tokenizer(folder, config, workshop)
    # of the class itself: a variant that inherits it may compute something else
    native = {vars(cls).get("transformers_type"): use for use, cls in workshop.encoders.items()}
    use = native.get(config.model_type, "transformers")
    encoder = workshop.encoders[use]
    if use == "transformers":
        shape: Any = _general(config)
    else:
        shape = encoder.from_transformers(config.to_dict())
    name = _kind(config)
    if name in (None, "embedding") or (KINDS[name].needs_head and name not in encoder.transformers_heads):
        return _without_head(folder, workshop, tokenizer, use, shape, config)
    model = _built(workshop, tokenizer, use, shape, name, config)
    try:
        return Imported(model=model, notes=_filled(folder, model, KINDS[name]))
    except FitError:
        if use != "transformers":
            raise
        return _without_head(folder, workshop, tokenizer, use, shape, config)  # one that is not tied to the embedding


def _without_head(
    folder: Path, workshop: Workshop, tokenizer: Tokenizer, use: str, shape: Any, config: PreTrainedConfig
) -> Imported:
    """The encoder alone, for embeddings and for fine-tuning."""
    if workshop.encoders[use].takes_context:
        able = ", ".join(workshop.encoders[use].transformers_heads)
        raise FitError(f"{folder}: a {config.model_type} is imported with its head only, of kind {able}")
    model = _built(workshop, tokenizer, use, shape, "embedding", config)
    notes = _filled(folder, model, KINDS["embedding"])
    if _kind(config) != "embedding":
        which = ", ".join(config.architectures or ["a class that is not named"])
        notes = [f"{folder}: lmkit has no head like that of {which}: it is left out", *notes]
    return Imported(model=model, notes=notes)


def _filled(folder: Path, model: Trained, kind: HeadKind) -> list[str]:
    """Give `model` the weights in `folder`; a sentence on those that are not there.

    Raises FitError where it then gives other scores.
    """
    twin, lacks = _loaded(AutoModel, folder)
    body, head = body_of(twin, lacks), dict[str, torch.Tensor]()
    if kind.needs_head:
        twin, lacks = _loaded(kind.auto, folder)
        body |= body_of(twin, lacks)  # some classes call their base by another name, and AutoModel then finds nothing
        head = {name: weight.detach() for name, weight in twin.state_dict().items() if name not in lacks}
    fresh = take(model, body, head)
    if not lacks:
        difference(model, kind, twin)
    some = f"{', '.join(fresh[:3])}{f' and {len(fresh) - 3} more' if len(fresh) > 3 else ''}"
    return [f"{folder}: it has no {some}: these are as they were drawn"] if fresh else []


def _loaded(auto: Any, folder: Path) -> tuple[Any, set[str]]:
    """A model of transformers, and which of its weights are not in the folder."""
    try:
        twin, info = auto.from_pretrained(folder, output_loading_info=True, ignore_mismatched_sizes=True, **_READS)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise DataError(f"{folder}: model.safetensors cannot be read: {str(error).partition(chr(10))[0]}") from error
    if wrong := sorted(info["mismatched_keys"]):
        name, stored, wanted = wrong[0]
        raise DataError(
            f"{folder}: {name} has the shape {list(stored)} in model.safetensors, but {list(wanted)} by config.json"
        )
    return twin, set(info["missing_keys"])


def _config(folder: Path) -> PreTrainedConfig:
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # each config checks itself, by errors of many kinds
        raise DataError(f"{folder / 'config.json'}: {str(error).partition(chr(10))[0]}") from error
    if getattr(config, "auto_map", None):
        raise FitError(f"{folder}: its model is code of its own (auto_map), which is not run")
    assert isinstance(config, PreTrainedConfig)
    return config


def _kind(config: PreTrainedConfig) -> str | None:
    """The kind of head that a folder's class has."""
    for architecture in config.architectures or ():
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


def _tokenizer(folder: Path, config: PreTrainedConfig, workshop: Workshop) -> Tokenizer:
    """An installed tokenizer that reads the folder's files and gives the same ids; else the one that reads any."""
    if not (folder / "tokenizer.json").is_file():
        raise DataError(f"{folder}: no tokenizer.json; without it, transformers would make up a vocabulary")
    theirs = read_tokenizer(folder)
    for cls in workshop.tokenizers.values():
        made = None
        with suppress(Exception):  # whatever a tokenizer says of files that are not its own
            made = None if cls is AnyTokenizer else cls.load(folder)
        if made is not None and made.vocabulary.size == config.vocab_size and _same(made, theirs, config):
            return made
    return AnyTokenizer(theirs, size=max(config.vocab_size, len(theirs)))


def _same(ours: Tokenizer, theirs: Any, config: PreTrainedConfig) -> bool:
    """Whether both give the same ids; a model of two halves reads the text and its end, and nothing before it."""
    end = [config.eos_token_id] if getattr(config, "is_encoder_decoder", False) else None
    for text in TEXTS:
        ids = ours.encode(text).ids
        wanted = ours.wrap(ids).ids.tolist() if end is None else [*ids.tolist(), *end]
        if theirs(text)["input_ids"] != wanted:
            return False
    return True


def _built(
    workshop: Workshop, tokenizer: Tokenizer, use: str, shape: Any, name: str, config: PreTrainedConfig
) -> Trained:
    """A model with fresh weights and the head that a folder has."""
    kind, chosen = KINDS[name].made_by
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
    return workshop.build(tokenizer, use, shape, **options)


def _looks_both_ways(config: PreTrainedConfig) -> bool:
    """Whether each token sees those after it."""
    if getattr(config, "is_encoder_decoder", False):
        return True
    masked, causal = (KINDS[name].auto._model_mapping for name in ("token", "next-token"))
    return type(config) not in causal or (type(config) in masked and not getattr(config, "is_decoder", False))


def _general(config: PreTrainedConfig) -> AnyEncoderConfig:
    """What differs from the defaults of its type; raises FitError where that does not say all of it."""
    plain = {key: value for key, value in config.to_diff_dict().items() if key not in _OF_HEADS}
    shape = AnyEncoderConfig(config={**plain, "model_type": config.model_type})
    again = AutoConfig.for_model(config.model_type, **{k: v for k, v in shape.config.items() if k != "model_type"})
    before, after = config.to_dict(), again.to_dict()
    lost = [key for key in before if key not in (*_OF_HEADS, *HELPERS) and before[key] != after.get(key)]
    if lost:
        raise FitError(f"config.json: {lost[0]} is {before[lost[0]]!r}, which a config of lmkit cannot say")
    return shape


def _check_shards(folder: Path) -> None:
    """Raise DataError where an index names files that are not weights of this very folder."""
    for index in folder.glob("*.index.json"):
        try:
            named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise DataError(f"{index}: cannot be read: {error}") from error
        for name in named:
            if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
                raise DataError(f"{index}: names {name!r}; expected a .safetensors file beside it")
