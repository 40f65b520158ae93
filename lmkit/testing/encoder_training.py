"""Checks of an encoder in training, with the reference objective of each attention that it can do."""

from __future__ import annotations

import math
from typing import Any

import attrs
import torch

from lmkit.testing.check import Checks, DoesNotApply, expect
from lmkit.testing.comparison import distance
from lmkit.testing.generators import seeded
from lmkit.testing.subjects import EncoderSubject
from lmkit.testing.training import FIT_STEPS, fit, gradients, measured, run_and_resume

CHECKS: Checks[EncoderSubject] = Checks()


@CHECKS.add
def every_parameter_learns(subject: EncoderSubject) -> None:
    """Each parameter gets a gradient within a few steps, from the states or from what `pool` makes of them."""
    encoder = subject.build().train()
    idle = {name for name, p in encoder.named_parameters() if p.requires_grad or _pools(encoder, p)}
    encoder.requires_grad_(True)
    for attention in subject.attentions * 2:
        encoder.zero_grad()
        inputs = subject.inputs(attention, subject.blocks)
        inputs = attrs.evolve(inputs, segments=inputs.positions % 2)
        states = encoder(inputs)
        pooled = encoder.pool(states, inputs)
        loss = (states * torch.randn_like(states)).sum() + (pooled * torch.randn_like(pooled)).sum()
        loss.backward()
        with torch.no_grad():
            for name, parameter in encoder.named_parameters():
                if parameter.grad is not None and bool(parameter.grad.any()):
                    idle.discard(name)
                    parameter.sub_(0.01 * parameter.grad / parameter.grad.norm())
    expect(not idle, "a gradient for each parameter", f"none for {sorted(idle)}", "a module that forward does not use")


@CHECKS.add
def gradient_does_not_depend_on_the_split(subject: EncoderSubject) -> None:
    """One batch of eight and four batches of two give the same loss and gradient."""
    for attention in subject.attentions:
        model = subject.model(attention).eval()
        collate, examples = model.objective.collate, subject.blocks
        whole, result = gradients(model, [collate(examples, progress=0.5)])
        split, other = gradients(model, [collate(examples[at : at + 2], progress=0.5) for at in range(0, 8, 2)])
        likely = "states that depend on the batch, such as a norm over it"
        near = math.isclose(result.loss, other.loss, rel_tol=1e-5)
        expect(near, f"the loss {result.loss:.6f} from four batches of two", f"{other.loss:.6f}", likely)
        largest = max(float(g.abs().max()) for g in whole.values())
        off = max((distance(whole[name], split[name]) / largest, name) for name in whole)
        expect(off[0] <= 1e-5, "the same gradient from four batches of two", f"{off[0]:.1e} off at {off[1]}", likely)


@CHECKS.add
def four_examples_are_learned(subject: EncoderSubject) -> None:
    """Four examples are learned by heart under each attention: the loss falls to a fifth, accuracy reaches 0.85."""
    for attention in subject.attentions:
        model, four = subject.model(attention), subject.blocks[:4]
        before = measured(model, four)
        fit(model, [four] * FIT_STEPS)
        after = measured(model, four)
        likely = "gradients that do not reach the lower layers, or initial weights of a wrong size"
        fell = after[""] <= 0.2 * before[""]
        expect(fell, f"a loss of at most a fifth of {before['']:.3f} ({attention})", f"{after['']:.3f}", likely)
        share = after["loss.accuracy"]
        expect(share >= 0.85, f"an accuracy of at least 0.85 on what was learned ({attention})", f"{share:.3f}", likely)


@CHECKS.add
def weights_survive_saving(subject: EncoderSubject) -> None:
    """A new encoder that loads the weights of another, strictly, has its states to the bit."""
    encoder, other = subject.build(), subject.build(seed=2)
    saved = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    other.load_state_dict(saved, strict=True)
    inputs = subject.inputs(subject.attentions[0], subject.blocks)
    with torch.no_grad():
        off = distance(encoder(inputs), other(inputs))
    expect(off == 0, "the same states from loaded weights", f"{off:.1e} off", "state outside the state_dict")
    extra = saved.keys() - {name for name, _ in encoder.named_parameters()}
    numbers = {name for name, _ in encoder.named_buffers()}
    expect(extra <= numbers, "parameters and buffers only in the state_dict", sorted(extra - numbers), "an extra state")


@CHECKS.add
def training_draws_from_torch_only(subject: EncoderSubject) -> None:
    """In training mode the same torch seed gives the same states, and no other global generator is used."""
    for config in subject.configs:
        encoder = subject.build(config=config).train()
        inputs = subject.inputs(subject.attentions[0], subject.blocks)
        found = []
        for _ in range(2):
            with seeded(3) as used, torch.no_grad():
                found.append(encoder(inputs))
            drawn = [kind for kind in used if kind != "torch"]
            expect(not drawn, "draws from torch's generator only", f"use of {', '.join(drawn)}", "np.random in forward")
        off = distance(*found)
        expect(off == 0, "the same states from the same seed", f"{off:.1e} off", "a generator of its own")


@CHECKS.add
def resume_is_exact(subject: EncoderSubject) -> None:
    """Three steps, a checkpoint and three more give the parameters of six steps to the bit, with dropout too."""
    for config in subject.configs:
        whole, resumed = run_and_resume(lambda c=config: subject.model(subject.attentions[0], config=c), subject.blocks)  # type: ignore[misc]
        changed = [name for name, tensor in whole.items() if not torch.equal(tensor, resumed[name])]
        expect(not changed, "the same parameters after a resume", f"other {changed[:3]}", "state that is no buffer")


@CHECKS.add
def dropout_drops(subject: EncoderSubject) -> None:
    """Where Config has `dropout`, it changes states in training, and none in evaluation."""
    config = subject.configs[-1]
    if len(subject.configs) == 1:
        raise DoesNotApply("its Config has no dropout")
    encoder = subject.build(config=config)
    inputs = subject.inputs(subject.attentions[0], subject.blocks)
    with torch.no_grad():
        plain, dropped = encoder(inputs), encoder.train()(inputs)
        without = subject.build(config=attrs.evolve(config, dropout=0.0))
        without.load_state_dict(encoder.state_dict())
        off = distance(plain, without(inputs))
    expect(distance(plain, dropped) > 0, "other states in training", "the same", "dropout is not wired up")
    expect(off == 0, "dropout to change nothing in evaluation", f"{off:.1e} off", "a scale that .eval() leaves on")


def _pools(encoder: Any, parameter: torch.nn.Parameter) -> bool:
    pooler = encoder.pooler
    return pooler is not None and any(p is parameter for p in pooler.parameters())
