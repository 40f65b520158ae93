"""Checks of what an encoder computes: its states, and who may see whom within a packed row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lmkit.batch import Attention, Example, Packed
from lmkit.interfaces import Encoder
from lmkit.testing.check import Checks, DoesNotApply, expect
from lmkit.testing.comparison import NEAR, distance
from lmkit.testing.generators import seeded
from lmkit.testing.subjects import EncoderSubject

CHECKS: Checks[EncoderSubject] = Checks()


_TOO_FAR = "a mask that hides too much; if layers see near ones only, give --set a Config whose layers reach so far"


@CHECKS.add
def states_have_their_shape(subject: EncoderSubject) -> None:
    """forward gives a finite fp32 [T, width], and token_embedding is [vocabulary, width]."""
    known = {"bidirectional", "causal", "mixed"}
    able = set(subject.component.attention)
    expect(bool(able) and able <= known, f"attention among {sorted(known)}", sorted(able), "a typo in `attention`")
    encoder = subject.build()
    embedding = encoder.token_embedding
    is_embedding = isinstance(embedding, nn.Embedding)
    expect(is_embedding, "token_embedding to be an nn.Embedding", type(embedding), "a layer of another kind")
    shape, wanted = tuple(embedding.weight.shape), (subject.vocabulary.size, encoder.width)
    expect(shape == wanted, f"token_embedding {wanted}", shape, "width is not that of the hidden states")
    for attention, inputs, states in _all(subject, encoder):
        shape, wanted = tuple(states.shape), (inputs.tokens.numel(), encoder.width)
        expect(shape == wanted, f"states {wanted} ({attention})", shape, "rows must be laid flat again: [R * L, width]")
        expect(states.dtype == torch.float32, "states in fp32", states.dtype, "a cast that autocast should do")
        finite = bool(torch.isfinite(states).all())
        expect(
            finite,
            f"finite states ({attention})",
            "NaN or infinity",
            "filler that sees nothing, so a softmax over nothing",
        )


@CHECKS.add
def packed_sequences_do_not_see_each_other(subject: EncoderSubject) -> None:
    """Changing one sequence changes no bit of any other's states."""
    encoder = subject.build()
    for attention in subject.attentions:
        before = _states(encoder, subject.inputs(attention, subject.blocks))
        changed = [_changed(subject, e, range(e.lengths[0])) for e in subject.blocks]
        inputs = subject.inputs(attention, changed)
        after = _states(encoder, inputs)
        touched = set(inputs.first[_firsts(subject.blocks)].tolist())
        compared = 0
        for first, last in _spans(inputs):
            if first in touched:
                continue
            compared += 1
            off = distance(before[first : last + 1], after[first : last + 1])
            likely = "a mask that reads positions or rows instead of `documents`; layers without a mask have to begin "
            likely += "anew where `inputs.positions` is 0"
            expect(off == 0, f"states that another sequence does not change ({attention})", f"{off:.1e} off", likely)
        assert compared, "nothing was compared"


@CHECKS.add
def packed_is_as_alone(subject: EncoderSubject) -> None:
    """A sequence has the same states alone in a row as packed among others, and so has what `pool` makes of them."""
    encoder = subject.build()
    for attention in subject.attentions:
        inputs = subject.inputs(attention, subject.blocks)
        states = _states(encoder, inputs)
        pooled = encoder.pool(states, inputs)
        count, width = len(inputs.first), encoder.width
        expect(tuple(pooled.shape) == (count, width), f"pooled {(count, width)}", tuple(pooled.shape), "pool reads all")
        for number, (example, (first, last)) in enumerate(zip(_alone(subject.blocks), _spans(inputs), strict=True)):
            single = subject.inputs(attention, [example])
            alone = _states(encoder, single)
            off = distance(states[first : last + 1], alone[: last + 1 - first])
            likely = "positions taken from the row instead of `inputs.positions`, or a leak"
            expect(off <= NEAR, f"the states of a sequence alone ({attention})", f"{off:.1e} off", likely)
            off = distance(pooled[number], encoder.pool(alone, single)[0])
            expect(
                off <= NEAR, f"the pooled state of a sequence alone ({attention})", f"{off:.1e} off", "a wrong index"
            )


@CHECKS.add
def filler_does_not_matter(subject: EncoderSubject) -> None:
    """Whatever fills a row, real states stay the same to the bit."""
    encoder = subject.build()
    pad, other = subject.vocabulary.special["pad"], subject.vocabulary.size - 1
    for attention in subject.attentions:
        inputs = subject.inputs(attention, subject.blocks, filler=pad)
        before = _states(encoder, inputs)
        after = _states(encoder, subject.inputs(attention, subject.blocks, filler=other))
        off = max(distance(before[a : b + 1], after[a : b + 1]) for a, b in _spans(inputs))
        expect(off == 0, f"states that filler does not change ({attention})", f"{off:.1e} off", "filler is attended to")


@CHECKS.add
def causal_means_causal(subject: EncoderSubject) -> None:
    """Under causal attention later tokens change no bit of an earlier state, and earlier tokens change a later one."""
    if "causal" not in subject.component.attention:
        raise DoesNotApply("it has no causal attention")
    encoder, (example,) = subject.build(), subject.blocks[:1]
    length = len(example.tokens)
    before = _states(encoder, subject.inputs("causal", [example]))
    for cut in (1, length // 2, length - 1):
        after = _altered(subject, encoder, "causal", example, range(cut, length))
        off = distance(before[:cut], after[:cut])
        expect(off == 0, f"states before token {cut} that later ones do not change", f"{off:.1e} off", "a future peek")
    after = _altered(subject, encoder, "causal", example, range(1))
    _sees(before[length - 1], after[length - 1], f"the first of {length} tokens from the last, under causal attention")


@CHECKS.add
def bidirectional_sees_both_ways(subject: EncoderSubject) -> None:
    """Under bidirectional attention the first state sees the last token, and the last the first."""
    if "bidirectional" not in subject.component.attention:
        raise DoesNotApply("it has no bidirectional attention")
    encoder, (example,) = subject.build(), subject.blocks[:1]
    end = len(example.tokens) - 1
    before = _states(encoder, subject.inputs("bidirectional", [example]))
    for changed, looking in ((end, 0), (0, end)):
        after = _altered(subject, encoder, "bidirectional", example, range(changed, changed + 1))
        _sees(before[looking], after[looking], f"token {changed} from {looking}, under bidirectional attention")


@CHECKS.add
def mixed_honours_reach(subject: EncoderSubject) -> None:
    """Under mixed attention a token sees up to its reach: all of it, and no bit beyond."""
    if "mixed" not in subject.component.attention:
        raise DoesNotApply("it has no mixed attention")
    encoder, (example,) = subject.build(), subject.blocks[:1]
    length = len(example.tokens)
    inputs = subject.inputs("mixed", [example])
    assert inputs.reach is not None
    before, reach = _states(encoder, inputs), inputs.reach[:length]
    for changed in range(0, length, 5):
        after = _altered(subject, encoder, "mixed", example, range(changed, changed + 1))
        blind = reach < changed
        off = distance(before[:length][blind], after[:length][blind])
        expect(off == 0, f"states that do not reach token {changed} unchanged", f"{off:.1e} off", "reach is not read")
        for looking in torch.nonzero(~blind)[:, 0].tolist():
            _sees(
                before[looking], after[looking], f"token {changed} from {looking}, whose reach is {int(reach[looking])}"
            )
    for attention, seen in (("causal", torch.arange(inputs.tokens.numel())), ("bidirectional", None)):
        if attention in subject.component.attention:
            far = torch.full_like(inputs.reach, inputs.row_tokens) if seen is None else seen
            mixed = _states(encoder, attrs.evolve(inputs, reach=far))[:length]
            plain = _states(encoder, attrs.evolve(inputs, attention=attention, reach=None))[:length]
            off = distance(mixed, plain)
            expect(
                off <= NEAR, f"the states of {attention} attention from its reach", f"{off:.1e} off", "reach is one off"
            )


@CHECKS.add
def tokens_are_embedded(subject: EncoderSubject) -> None:
    """A token's row of token_embedding changes its state: what heads are tied to is what is read."""
    encoder, (example,) = subject.build(), subject.blocks[:1]
    inputs = subject.inputs(subject.attentions[0], [example])
    before = _states(encoder, inputs)
    with torch.no_grad():
        encoder.token_embedding.weight[int(example.tokens[0])] += torch.randn(encoder.width)
    off = distance(before[0], _states(encoder, inputs)[0])
    expect(off > NEAR, "a state that its row of token_embedding changes", "the same state", "another embedding is read")


@CHECKS.add
def segments_default_to_the_first(subject: EncoderSubject) -> None:
    """No segments are the same as segments of zeros."""
    encoder = subject.build()
    inputs = subject.inputs(subject.attentions[0], subject.blocks)
    zeros = attrs.evolve(inputs, segments=torch.zeros_like(inputs.tokens))
    off = distance(_states(encoder, inputs), _states(encoder, zeros))
    expect(off <= NEAR, "the same states with segments of zeros", f"{off:.1e} off", "None means something else here")


@CHECKS.add
def evaluation_is_deterministic(subject: EncoderSubject) -> None:
    """In evaluation mode states depend on inputs and weights alone, and no global generator is used."""
    inputs = subject.inputs(subject.attentions[0], subject.blocks)
    for config in subject.configs:
        encoder, found, likely = subject.build(config=config), [], "dropout that ignores .eval()"
        for seed in (1, 2):
            with seeded(seed) as used:
                found.append(_states(encoder, inputs))
            expect(not used, "no draw in evaluation mode", f"a draw from {', '.join(used)}", likely)
        off = distance(*found)
        expect(off == 0, "the same states twice in evaluation mode", f"{off:.1e} off", likely)


@CHECKS.add
def bf16_is_near(subject: EncoderSubject) -> None:
    """Under bf16 autocast states are finite and near those of fp32."""
    encoder = subject.build()
    for attention, inputs, exact in _all(subject, encoder):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            states = _states(encoder, inputs).float()
        real = torch.cat([torch.arange(a, b + 1) for a, b in _spans(inputs)])
        off = float((states[real] - exact[real]).norm() / exact[real].norm())
        likely = "a constant that bf16 cannot hold, or a mask value that overflows"
        expect(off < 0.1, f"states within a tenth of fp32's ({attention})", f"{off:.3f} off", likely)


def _sees(before: Tensor, after: Tensor, what: str) -> None:
    expect(distance(before, after) > 0, f"to see {what}", "an unchanged state", _TOO_FAR)


def _states(encoder: Encoder, inputs: Packed) -> Tensor:
    with torch.no_grad():
        states: Tensor = encoder(inputs)
        return states


def _altered(
    subject: EncoderSubject, encoder: Encoder, attention: Attention, example: Example, places: range
) -> Tensor:
    """States of the example with other tokens in these places; its context, where there is one, stays as it was."""
    return _states(encoder, subject.inputs(attention, [_changed(subject, example, places)], context=[example]))


def _all(subject: EncoderSubject, encoder: Encoder) -> Iterator[tuple[Attention, Packed, Tensor]]:
    for attention in subject.attentions:
        inputs = subject.inputs(attention, subject.blocks)
        yield attention, inputs, _states(encoder, inputs)


def _spans(inputs: Packed) -> list[tuple[int, int]]:
    """First and last token of each real sequence."""
    return list(zip(inputs.first.tolist(), inputs.last.tolist(), strict=True))


def _firsts(examples: Sequence[Example]) -> npt.NDArray[np.int64]:
    """Which of all sequences is the first of each example."""
    return np.cumsum([0, *(len(e.lengths) for e in examples[:-1])])


def _alone(examples: Sequence[Example]) -> Iterator[Example]:
    """Each sequence as an example of its own."""
    for example in examples:
        start = 0
        for length in example.lengths:
            yield Example(tokens=example.tokens[start : start + length], lengths=(length,))
            start += length


def _changed(subject: EncoderSubject, example: Example, places: range) -> Example:
    """The example with other tokens in these places."""
    tokens: npt.NDArray[Any] = np.array(example.tokens)
    tokens[places.start : places.stop] = (tokens[places.start : places.stop] + 3) % subject.vocabulary.size
    return attrs.evolve(example, tokens=tokens)
