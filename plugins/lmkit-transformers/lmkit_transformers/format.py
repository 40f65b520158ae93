"""Format "transformers": config.json, model.safetensors, a tokenizer and a card, which Auto classes load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from lmkit.errors import DataError, FitError
from lmkit.interfaces import Format, History, Imported, Trained, Workshop
from lmkit_transformers.card import card
from lmkit_transformers.compare import compare
from lmkit_transformers.kinds import KINDS, HeadKind
from lmkit_transformers.reading import read_folder
from lmkit_transformers.tokens import check_tokenizer, save_tokenizer, special_ids
from lmkit_transformers.weights import fill

_FETCHED = ("*.json", "*.safetensors", "vocab.txt", "merges.txt", "*.model")


class TransformersFormat(Format):
    """A folder that transformers loads without remote code, of encoders that say what they are called there."""

    def write(self, model: Trained, history: History, folder: Path) -> Mapping[str, Any]:
        """Raises FitError where transformers has no such encoder or head, or computes something else with it."""
        kind = KINDS.get(model.objective.head_kind)
        if kind is None:
            known = ", ".join(KINDS)
            raise FitError(f"transformers has no class for heads of kind {model.objective.head_kind}, but for {known}")
        with _quiet():
            config = config_of(model, kind)
            twin: PreTrainedModel = kind.auto.from_config(config).float().eval()
            left_out = fill(twin, model)
            twin.save_pretrained(folder)
            for file in folder.glob("*.safetensors"):  # which safetensors gives to their owner alone
                file.chmod((folder / "config.json").stat().st_mode)
            save_tokenizer(model, folder)
            check_tokenizer(model, folder)
            difference = compare(model, kind, folder)
        found = {"class": type(twin).__name__, "largest_difference": difference, "left_out": left_out}
        card(history, found, parameters=twin.num_parameters()).save(folder / "README.md")
        return found

    def fetch(self, name: str) -> Path:
        """What Hugging Face's hub has under `name`, without pickles and code, in its own cache."""
        try:
            return Path(snapshot_download(name, allow_patterns=list(_FETCHED), ignore_patterns=["*/*"]))
        except (OSError, ValueError, HfHubHTTPError) as error:
            raise DataError(f"hub:{name}: cannot be fetched: {str(error).partition(chr(10))[0]}") from error

    def read(self, folder: Path, workshop: Workshop) -> Imported:
        with _quiet():
            return read_folder(folder, workshop)


def config_of(model: Trained, kind: HeadKind) -> PreTrainedConfig:
    """What transformers' config.json has to say of a model; raises FitError where it cannot."""
    encoder, head = model.encoder, model.head
    attention = getattr(head, "attention", None) or model.objective.attention
    fields = dict(encoder.transformers_config(attention))
    name = model.objective.head_kind
    if encoder.takes_context and not kind.needs_head:
        raise FitError(f"transformers' {encoder.transformers_type} has no class of its encoder alone that Auto loads")
    if kind.needs_head and name not in encoder.transformers_heads:
        able = ", ".join(encoder.transformers_heads)
        raise FitError(f"transformers' {encoder.transformers_type} has no head of kind {name}, but {able}")
    fields |= {"vocab_size": model.tokenizer.vocabulary.size, **special_ids(model)}
    if labels := getattr(head, "labels", None):
        fields["id2label"] = dict(enumerate(labels))
        fields["label2id"] = {label: number for number, label in enumerate(labels)}
    if name == "classify":
        fields["problem_type"] = f"{'multi' if head.several else 'single'}_label_classification"
    if name == "regress":
        fields |= {"problem_type": "regression", "num_labels": 1}
    config = AutoConfig.for_model(fields.pop("model_type"), **fields, dtype="float32")
    if getattr(head, "pooling", "own") == "mean" and kind.needs_head:
        if not hasattr(config, "classifier_pooling"):
            raise FitError(f"transformers' {config.model_type} reads one state of a sequence, not their mean (pooling)")
        config.classifier_pooling = "mean"
    return config


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the reports and progress bars of transformers, which say less than what is raised here."""
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
