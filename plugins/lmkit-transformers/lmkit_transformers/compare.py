"""Compare: a folder is loaded as anybody would load it, and computes what lmkit's model computes."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from lmkit.batch import Example, pack
from lmkit.errors import FitError
from lmkit.interfaces import Trained
from lmkit_transformers.kinds import HeadKind, Sample

TOLERANCE = 1e-5
"""The largest difference of two scores, where they are at most 1 in size; else in proportion to the largest."""
_LONGEST = 96  # tokens of the longest sequence that is compared
_LENGTHS = (_LONGEST, 31, 8, 3)


def compare(model: Trained, kind: HeadKind, folder: Path) -> float:
    """The largest difference of a score; raises FitError where it is too large, or weights do not fit to the last."""
    twin, info = kind.auto.from_pretrained(
        folder, output_loading_info=True, dtype=torch.float32, local_files_only=True, trust_remote_code=False
    )
    wrong = {name: some for name, some in info.items() if some}
    if wrong:
        raise FitError(f"transformers' {type(twin).__name__} loads it with {wrong}")
    return difference(model, kind, twin)


def difference(model: Trained, kind: HeadKind, twin: PreTrainedModel) -> float:
    """The largest difference of a score between `model` and its twin; raises FitError where it is too large."""
    sample = sample_for(model)
    model.encoder.eval()
    model.head.eval()
    with torch.inference_mode():
        ours = kind.scores(model, sample).float()
        theirs = kind.theirs(twin(**_asked(twin, model, sample)), sample).float()
    if kind.of_tokens:
        ours, theirs = ours[sample.real], theirs[sample.real]
    largest = float((ours - theirs).abs().max())
    if not largest <= TOLERANCE * max(1.0, float(ours.abs().max())):
        raise FitError(f"transformers' {type(twin).__name__} computes other scores: they differ by {largest:g}")
    return largest


def sample_for(model: Trained) -> Sample:
    """Sequences of random tokens, of several lengths; the last is a pair of texts."""
    rng, vocabulary = np.random.default_rng(1), model.tokenizer.vocabulary
    plain = np.setdiff1d(np.arange(vocabulary.size), vocabulary.special_ids())
    most = min(_LONGEST, model.encoder.longest or _LONGEST)
    room = max(1, most - len(model.tokenizer.wrap(plain[:0], plain[:0]).ids))
    read = [rng.choice(plain, min(length, room)) for length in _LENGTHS]
    pairs = [(ids, None) for ids in read] + ([(read[-1], read[-1])] if room >= 2 * len(read[-1]) else [])
    examples = []
    for first, second in pairs:
        wrapped = model.tokenizer.wrap(first, second)
        examples.append(Example(tokens=wrapped.ids, lengths=(len(wrapped.ids),), segments=wrapped.segments))
    attention = getattr(model.head, "attention", None) or model.objective.attention
    inputs, starts = pack(examples, attention=attention, filler=vocabulary.special["pad"])
    if model.objective.needs_context:
        context, _ = pack(examples, attention="bidirectional", filler=vocabulary.special["pad"])
        inputs = attrs.evolve(inputs, context=context)
    lengths = torch.tensor([[len(example.tokens)] for example in examples])
    steps = torch.arange(int(lengths.max()))
    places = torch.from_numpy(starts)[:, None] + steps.minimum(lengths - 1)
    return Sample(examples=examples, inputs=inputs, places=places, real=steps < lengths)


def _asked(twin: PreTrainedModel, model: Trained, sample: Sample) -> dict[str, Tensor]:
    """The same sequences as a model of transformers wants them, each in a row of its own."""
    flat, real = sample.inputs, sample.real
    ids = torch.where(real, flat.tokens[sample.places], model.tokenizer.vocabulary.special["pad"])
    asked = {"input_ids": ids, "attention_mask": real.long()}
    if getattr(twin.config, "type_vocab_size", 0) > 1 and flat.segments is not None:
        asked["token_type_ids"] = torch.where(real, flat.segments[sample.places], 0)
    if model.objective.needs_context:
        asked["decoder_input_ids"] = ids
    if model.objective.head_kind == "choice":
        asked = {name: value[None] for name, value in asked.items()}
    return asked
