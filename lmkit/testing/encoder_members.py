"""Checks of what an encoder says of itself, and of the optional members that it offers."""

from __future__ import annotations

import re

import attrs
import numpy as np
import torch
from torch import Tensor

from lmkit.batch import Cache, Example, Packed, pack
from lmkit.errors import FitError
from lmkit.interfaces import Encoder
from lmkit.testing.check import Checks, DoesNotApply, expect
from lmkit.testing.common import check_config
from lmkit.testing.comparison import NEAR, distance
from lmkit.testing.generators import seeded
from lmkit.testing.subjects import EncoderSubject

CHECKS: Checks[EncoderSubject] = Checks()
LONG = 600
"""Tokens that an encoder without a limit has to read."""
ROLE = re.compile(r"hidden(/[1-9][0-9]*)?|embedding|scalar")


@CHECKS.add
def config_is_closed(subject: EncoderSubject) -> None:
    """Its Config is a frozen attrs class with a sentence under each field."""
    check_config(subject.component.Config, subject.config)


@CHECKS.add
def same_seed_same_weights(subject: EncoderSubject) -> None:
    """Fresh weights follow from torch's seed alone."""
    built = []
    for seed in (1, 2):
        with seeded(seed) as used:
            built.append(subject.build(seed=7).state_dict())
        drawn = [kind for kind in used if kind != "torch"]
        expect(not drawn, "weights drawn from torch's generator", f"use of {', '.join(drawn)}", "np.random in __init__")
    other = [name for name in built[0] if not torch.equal(built[0][name], built[1][name])]
    expect(not other, "the same weights from the same seed", f"other {other[:3]}", "a generator of its own")


@CHECKS.add
def layers_are_its_own(subject: EncoderSubject) -> None:
    """`layers` are different submodules of it, each with parameters."""
    encoder = subject.build()
    layers = list(encoder.layers)
    if not layers:
        raise DoesNotApply("it names no layers")
    inside = {id(module) for module in encoder.modules()}
    strangers = [n for n, layer in enumerate(layers) if id(layer) not in inside]
    expect(not strangers, "layers that are submodules", f"{strangers} are not", "a list instead of an nn.ModuleList")
    different = len({id(layer) for layer in layers}) == len(layers)
    expect(different, "layers that differ", "one named twice", "weights shared by repeating a layer")
    empty = [n for n, layer in enumerate(layers) if not any(True for _ in layer.parameters())]
    expect(not empty, "layers with parameters", f"none in {empty}", "activations listed as layers")


@CHECKS.add
def roles_cover_all_parameters(subject: EncoderSubject) -> None:
    """Each parameter has a known role; "hidden" ones are matrices, "hidden/N" stacks of N."""
    encoder = subject.build()
    roles, parameters = encoder.roles(), dict(encoder.named_parameters())
    expect(roles.keys() == parameters.keys(), f"roles of {sorted(parameters)}", sorted(roles), "roles was not kept up")
    unknown = {name: role for name, role in roles.items() if not ROLE.fullmatch(role)}
    expect(not unknown, 'the roles "hidden", "hidden/N", "embedding", "scalar"', unknown, "a typo")
    for name, role in roles.items():
        if role.startswith("hidden"):
            shape, stacked = tuple(parameters[name].shape), int(role.partition("/")[2] or 1)
            whole = len(shape) == 2 and shape[0] % stacked == 0
            expect(whole, f'"{role}" to be {stacked} matrices in one', f"{name} {shape}", "Muon takes matrices only")


@CHECKS.add
def pooler_is_its_own(subject: EncoderSubject) -> None:
    """`pooler` is a submodule of it, with parameters."""
    encoder = subject.build()
    if encoder.pooler is None:
        raise DoesNotApply("it has no pooler")
    inside = any(module is encoder.pooler for module in encoder.modules())
    expect(inside, "a pooler that is a submodule", "another module", "it was not assigned to self")
    expect(any(True for _ in encoder.pooler.parameters()), "a pooler with parameters", "none", "None says the same")


@CHECKS.add
def longest_is_readable(subject: EncoderSubject) -> None:
    """It reads a sequence of `longest` tokens, or of 600 where it names no limit."""
    encoder = subject.build()
    longest = encoder.longest
    expect(longest is None or longest >= 1, "longest of at least 1, or None", longest, "a wrong property")
    tokens = np.resize(subject.blocks[0].tokens, longest or LONG)
    example = Example(tokens=tokens, lengths=(len(tokens),))
    try:
        states = _states(encoder, subject.inputs(subject.attentions[0], [example]))
    except Exception as error:
        came = f"{type(error).__name__}: {error}"
        expect(False, f"to read {len(tokens)} tokens", came, "longest promises too much, or is None where a table ends")
    finite = bool(torch.isfinite(states).all())
    expect(finite, f"finite states of {len(tokens)} tokens", "NaN or infinity", "positions that overflow")


@CHECKS.add
def cached_is_as_uncached(subject: EncoderSubject) -> None:
    """Reading token by token with a cache gives the states of reading all at once, also after `select`."""
    encoder = subject.build()
    prompts = [e.tokens[: e.lengths[0]] for e in subject.blocks[:4]]
    longest = max(map(len, prompts))
    cache = encoder.new_cache(len(prompts), longest)
    if cache is None:
        raise DoesNotApply("new_cache gives None")
    start = [max(1, len(p) // 2 - n) for n, p in enumerate(prompts)]  # of different lengths: there will be filler
    opening = [Example(tokens=p[:n], lengths=(n,), capacity=max(start)) for p, n in zip(prompts, start, strict=True)]
    packed, _ = pack(opening, attention="causal", filler=subject.vocabulary.special["pad"])
    likely = "keys stored in another place than their position, or filler among them"
    contexts = [Example(tokens=p, lengths=(len(p),)) for p in prompts]  # told once, with the opening
    context = subject.inputs("causal", opening, context=contexts).context
    inputs = attrs.evolve(packed, cache=cache, context=context)
    states = _states(encoder, inputs)[inputs.last]
    rows = list(range(len(prompts)))
    for step in range(3):
        for row, prompt in enumerate(rows):
            whole = Example(tokens=prompts[prompt][: start[prompt] + step], lengths=(start[prompt] + step,))
            plain = _states(encoder, subject.inputs("causal", [whole], context=[contexts[prompt]]))
            plain = plain[start[prompt] + step - 1]
            off = distance(states[row], plain)
            expect(off <= NEAR, f"the uncached state after {step} cached tokens", f"{off:.1e} off", likely)
        if step == 1:
            rows = [rows[2], rows[0], rows[0]]
            cache = cache.select(torch.tensor([2, 0, 0]))
        newest = [prompts[prompt][start[prompt] + step] for prompt in rows]
        states = _states(encoder, _one_each(newest, [start[prompt] + step for prompt in rows], cache))


@CHECKS.add
def smaller_is_smaller(subject: EncoderSubject) -> None:
    """`smaller` gives a Config of the same class that builds a narrower encoder."""
    encoder = subject.build()
    try:
        configs = [encoder.smaller(factor) for factor in (0.5, 0.25)]
    except FitError as error:
        raise DoesNotApply(str(error)) from None
    for config in configs:
        expect(
            type(config) is type(subject.config), f"a {type(subject.config).__name__}", repr(config), "another class"
        )
        small = subject.build(config=config)
        expect(small.width <= encoder.width, f"a width of at most {encoder.width}", small.width, "a rounding upwards")
        inputs = subject.inputs(subject.attentions[0], subject.blocks)
        finite = bool(torch.isfinite(_states(small, inputs)).all())
        expect(finite, "finite states of the smaller one", "NaN or infinity", "a size that became zero")


@CHECKS.add
def transformers_names_cover_all_parameters(subject: EncoderSubject) -> None:
    """`transformers_names` has each parameter once, under names that no other has."""
    encoder = subject.build()
    names = encoder.transformers_names()
    if names is None:
        raise DoesNotApply("it names no architecture of transformers")
    parameters = dict(encoder.named_parameters())
    likely = "the table was not kept up with the modules"
    expect(
        names.keys() == parameters.keys(), "a name for each parameter", sorted(names.keys() ^ parameters.keys()), likely
    )
    theirs = [name for renamed in names.values() for name in renamed.names]
    twice = sorted({name for name in theirs if theirs.count(name) > 1})
    expect(not twice, "names that are used once", f"{twice} used twice", likely)
    for name, renamed in names.items():
        shape = tuple(parameters[name].shape)
        count, sizes = len(renamed.names), renamed.sizes
        whole = sum(sizes) == shape[0] and len(sizes) == count if sizes else bool(count) and shape[0] % count == 0
        expect(whole, f"{name} {shape} to be cut into {sizes or f'{count} alike'}", "a remainder", likely)


@CHECKS.add
def context_is_read_by_sequence(subject: EncoderSubject) -> None:
    """Sequence i reads the context's sequence i, and no other."""
    if not subject.component.takes_context:
        raise DoesNotApply("it takes no context")
    encoder = subject.build()
    inputs = subject.inputs(subject.attentions[0], subject.blocks)
    assert inputs.context is not None
    before = _states(encoder, inputs)
    tokens = inputs.context.tokens.clone()
    first, last = int(inputs.context.first[1]), int(inputs.context.last[1])
    tokens[first : last + 1] = (tokens[first : last + 1] + 3) % subject.vocabulary.size
    after = _states(encoder, attrs.evolve(inputs, context=attrs.evolve(inputs.context, tokens=tokens)))
    for number, (start, stop) in enumerate(zip(inputs.first.tolist(), inputs.last.tolist(), strict=True)):
        off = distance(before[start : stop + 1], after[start : stop + 1])
        if number == 1:
            expect(
                off > 0, "sequence 1 to read the context's sequence 1", "unchanged states", "the context is not read"
            )
        else:
            expect(off == 0, f"sequence {number} not to read sequence 1 of the context", f"{off:.1e} off", "a leak")


def _states(encoder: Encoder, inputs: Packed) -> Tensor:
    with torch.no_grad():
        states: Tensor = encoder(inputs)
        return states


def _one_each(tokens: list[int], positions: list[int], cache: Cache) -> Packed:
    """One token a row, each at its position."""
    count = len(tokens)
    each = torch.arange(count)
    return Packed(
        tokens=torch.tensor(tokens),
        positions=torch.tensor(positions),
        documents=torch.zeros(count, dtype=torch.int64),
        cu_seqlens=torch.arange(count + 1, dtype=torch.int32),
        max_seqlen=1,
        row_tokens=1,
        first=each,
        last=each,
        attention="causal",
        cache=cache,
    )
