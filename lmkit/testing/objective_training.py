"""Checks of an objective in training on the reference encoder: its gradients and head, what it learns and may not."""

from __future__ import annotations

import math

import torch

from lmkit.testing.check import Checks, DoesNotApply, expect
from lmkit.testing.comparison import distance
from lmkit.testing.samples import noise
from lmkit.testing.subjects import ObjectiveSubject
from lmkit.testing.training import FIT_STEPS, fit, gradients, measured, parameters, run_and_resume, silent

CHECKS: Checks[ObjectiveSubject] = Checks()
_ROLES = ("head", "scalar", "hidden")
ALPHABET = 16
"""Tokens that noise is made of."""
NOISE_STEPS = 120
"""Steps in which a leaked token is found out."""


@CHECKS.add
def gradient_does_not_depend_on_the_split(subject: ObjectiveSubject) -> None:
    """One batch of eight and four batches of two give the same loss and gradient."""
    model = subject.model()
    collate, examples = model.objective.collate, subject.examples
    whole, result = gradients(model, [collate(examples[:8], progress=0.5)])
    split, other = gradients(model, [collate(examples[at : at + 2], progress=0.5) for at in range(0, 8, 2)])
    likely = "a mean where a sum is wanted, or counts that do not add up"
    near = math.isclose(result.loss, other.loss, rel_tol=1e-5)
    expect(near, f"the loss {result.loss:.6f} from four batches of two", f"{other.loss:.6f}", likely)
    largest = max(float(g.abs().max()) for g in whole.values())
    off = max((distance(whole[name], split[name]) / largest, name) for name in whole)
    expect(off[0] <= 1e-5, "the same gradient from four batches of two", f"{off[0]:.1e} off at {off[1]}", likely)


@CHECKS.add
def every_head_parameter_learns(subject: ObjectiveSubject) -> None:
    """Each trained parameter of the head gets a gradient within a few steps."""
    model = subject.model()
    if not parameters(model.head):
        raise DoesNotApply("its head has no parameters of its own")
    idle = set(parameters(model.head))
    for step in range(3):
        batch = model.objective.collate(subject.examples, progress=step / 3)
        gradients(model, [batch])
        idle &= set(silent({name: p.grad for name, p in parameters(model.head).items()}))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.sub_(0.01 * parameter.grad)
    expect(
        not idle, "a gradient for each parameter of the head", f"none for {sorted(idle)}", "a layer that is not used"
    )


@CHECKS.add
def head_roles_cover_the_head(subject: ObjectiveSubject) -> None:
    """Each parameter of the head has a role: "head", "scalar" or, in a network of its own, "hidden"."""
    model = subject.model()
    roles, names = model.objective.head_roles(model.head), {n for n, _ in model.head.named_parameters()}
    expect(roles.keys() == names, f"roles of {sorted(names)}", sorted(roles), "head_roles was not kept up")
    wrong = {name: role for name, role in roles.items() if role.partition("/")[0] not in _ROLES}
    expect(not wrong, "the roles head, scalar and hidden", wrong, "a role that the optimizer does not know")


@CHECKS.add
def head_stores_nothing_tied(subject: ObjectiveSubject) -> None:
    """No parameter of the encoder is in the head too: what is tied is handed over in `loss`."""
    model = subject.model()
    theirs = {p.data_ptr() for p in model.encoder.parameters()}
    twice = [name for name, tensor in model.head.state_dict().items() if tensor.data_ptr() in theirs]
    expect(
        not twice, "a head without the encoder's parameters", f"{twice}", "the embedding was assigned to a head's layer"
    )


@CHECKS.add
def head_survives_saving(subject: ObjectiveSubject) -> None:
    """A new model that loads the weights of a trained one has its loss, to the bit."""
    model, other = subject.model(), subject.model(seed=2)
    fit(model, [subject.examples[:4]] * 3)
    saved = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    other.load_state_dict(saved, strict=True)
    batch = model.objective.collate(subject.examples, progress=None)
    with torch.no_grad():
        for term, loss in model(batch).items():
            again = float(other(batch)[term])
            expect(float(loss) == again, f'"{term}" {float(loss)} after loading', again, "state outside the state_dict")


@CHECKS.add
def measure_agrees_with_loss(subject: ObjectiveSubject) -> None:
    """`measure` has each term's loss, and besides only sums named "term.what"."""
    model = subject.model()
    batch = model.objective.collate(subject.examples, progress=None)
    with torch.no_grad():
        losses, found = model(batch), model.measure(batch)
    missing = sorted(model.objective.weights.keys() - found.keys())
    expect(not missing, "each term in measure", f"none for {missing}", "measure leaves out the losses")
    strange = [name for name in found if name.partition(".")[0] not in batch.counts]
    expect(not strange, 'measures named "term.what"', strange, "the prefix is no term, so nothing divides them")
    for term in model.objective.weights:
        loss = losses[term]
        near = math.isclose(float(loss), float(found[term]), rel_tol=1e-4, abs_tol=1e-5)
        expect(
            near,
            f'"{term}" {float(loss):.5f} in measure',
            f"{float(found[term]):.5f}",
            "a mean, or unused slots counted",
        )
    for name in found.keys() - losses.keys():
        largest = batch.counts[name.partition(".")[0]]
        if name.endswith(".accuracy"):
            fits = 0 <= float(found[name]) <= largest
            expect(
                fits, f"{name} to be a sum from 0 to {largest}", float(found[name]), "a mean, or unused slots counted"
            )


@CHECKS.add
def random_tokens_cannot_be_predicted(subject: ObjectiveSubject) -> None:
    """Trained on random tokens it predicts fresh ones no better than chance: no target is visible."""
    if subject.given is not None or subject.component.head_kind not in ("token", "next-token"):
        raise DoesNotApply("it does not predict tokens of plain blocks")
    model = subject.model()
    alphabet = range(subject.vocabulary.size - ALPHABET, subject.vocabulary.size)
    fit(model, [noise(alphabet, 16, seed=step) for step in range(NOISE_STEPS)], progress=0.5)
    batch = model.objective.collate(noise(alphabet, 64, seed=NOISE_STEPS), progress=0.5)
    with torch.no_grad():
        found = {term: float(loss) for term, loss in model(batch).items()}
        for parameter in model.parameters():
            parameter.zero_()
        ignorant = {term: float(loss) for term, loss in model(batch).items()}
    for term in model.objective.weights:
        choices = ignorant[term] / max(1, batch.counts[term])
        if choices < math.log(subject.vocabulary.size) - 0.1:
            continue  # it chooses among fewer than the vocabulary, such as replaced or not
        nats, least = choices * found[term] / ignorant[term], math.log(ALPHABET) / 4
        likely = "the encoder sees what it is to predict: targets not shifted, or not masked"
        expect(nats > least, f'"{term}" above {least:.2f} nats on random tokens', f"{nats:.2f}", likely)


@CHECKS.add
def four_examples_are_learned(subject: ObjectiveSubject) -> None:
    """Four examples are learned by heart: the loss falls to a fifth, and where accuracy is measured it reaches 0.85."""
    model, four = subject.model(), subject.examples[:4]
    before = measured(model, four)
    fit(model, [four] * FIT_STEPS)
    after = measured(model, four)
    likely = "a wrong shift or index of the targets, or a loss that does not reach the weights"
    fell = after[""] <= 0.2 * before[""]
    expect(fell, f"a loss of at most a fifth of {before['']:.3f}", f"{after['']:.3f}", likely)
    for name, share in after.items():
        if name.endswith(".accuracy"):
            expect(0.85 <= share <= 1, f"{name} from 0.85 to 1 on what was learned", f"{share:.3f}", likely)


@CHECKS.add
def resume_is_exact(subject: ObjectiveSubject) -> None:
    """Three steps, a checkpoint and three more give the parameters of six steps, to the bit."""
    whole, resumed = run_and_resume(subject.model, subject.examples)
    changed = [name for name, tensor in whole.items() if not torch.equal(tensor, resumed[name])]
    expect(
        not changed, "the same parameters after a resume", f"other {changed[:3]}", "state that lives on the objective"
    )
