"""Sentences that keep a constraint: a beam search whose places are shared among stages of the constraint.

Hypotheses compete only with those that lack as many tokens of the words (dynamic beam allocation, Post and Vilar 2018,
after the grid of Hokamp and Liu 2017), so that an unlikely word is tried in many places and kept in the best.  Within a
stage they are drawn, not ranked: a stochastic beam search (Kool et al. 2019), whose hypotheses are a sample without
replacement.  A hypothesis without room for its words is none, so that at the limit words are forced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lmkit.interfaces import Encoder
from lmkit.parts.sequences import Sequences
from lmkit_vocabulary.constraint import Constraint, State
from lmkit_vocabulary.token_kinds import TokenKinds

_COLDEST = 1e-6  # temperature; a lower one would divide by what float32 has as 0
STAGES = 16
"""Into which all numbers of missing tokens are divided, at most."""


@attrs.frozen(eq=False)
class Goal:
    """One sentence that is looked for."""

    prompt: npt.NDArray[np.int64]
    """[n >= 1] ids before it."""
    constraint: Constraint
    start: State
    limit: int
    """Tokens of the sentence at most."""
    opened: bool
    """Whether its beginning stands in the prompt already."""
    seed: int
    """Of its draws."""

    @property
    def stages(self) -> int:
        """Of its search."""
        return min(STAGES, self.constraint.missing(self.start) + 1)


@attrs.frozen(eq=False)
class Hypothesis:
    """A sentence, or the beginning of one."""

    tokens: tuple[int, ...]
    state: State
    log_probability: float
    """Of all its tokens, in nats, as the model has it."""
    likelihood: float
    """The same after temperature, among the tokens that are allowed."""
    perturbed: float
    """That with Gumbel noise, given its parent's: what it competes with."""

    @property
    def mean(self) -> float:
        """Log-probability a token."""
        return self.log_probability / len(self.tokens)


class Search:
    """Looks for sentences of many goals at once, `beams` hypotheses a stage; each goal has its own draws."""

    def __init__(
        self, encoder: Encoder, head: nn.Module, kinds: TokenKinds, *, beams: int, temperature: float, no_repeat: int
    ) -> None:
        self._encoder, self._head, self._kinds = encoder, head, kinds
        self._beams, self._temperature, self._no_repeat = beams, temperature, no_repeat
        self._plain = torch.from_numpy(kinds.plain)
        self._begins = torch.from_numpy(kinds.begins)
        self._closers = torch.tensor(kinds.closers, dtype=torch.int64)

    def sentences(self, goals: Sequence[Goal]) -> list[list[Hypothesis]]:
        """What was found for each goal, the likeliest first: one or more, each with all words."""
        capacity = max(len(goal.prompt) + goal.limit for goal in goals)
        sequences = Sequences(self._encoder, self._head, [goal.prompt for goal in goals], capacity)
        generators = [torch.Generator().manual_seed(goal.seed) for goal in goals]
        beams = [[Hypothesis((), goal.start, 0.0, 0.0, 0.0)] for goal in goals]
        finished: list[list[Hypothesis]] = [[] for _ in goals]
        while len(sequences):
            all_logits = sequences.logits().cpu()
            rows: list[int] = []
            first = 0
            for number, (goal, beam) in enumerate(zip(goals, beams, strict=True)):
                logits = all_logits[first : first + len(beam)]
                kept, done = self._extend(goal, beam, logits, generators[number]) if beam else ([], [])
                finished[number] += done
                beams[number] = [hypothesis for _, hypothesis in kept]
                rows += [first + parent for parent, _ in kept]
                first += len(beam)
            sequences.select(rows)
            sequences.append([hypothesis.tokens[-1] for beam in beams for hypothesis in beam])
        return [sorted(found, key=lambda hypothesis: -hypothesis.mean) for found in finished]

    def _extend(
        self, goal: Goal, beam: Sequence[Hypothesis], logits: Tensor, generator: torch.Generator
    ) -> tuple[list[tuple[int, Hypothesis]], list[Hypothesis]]:
        """The best of each stage with its parent's place in the beam, and those that became whole."""
        stages: dict[int, list[tuple[int, Hypothesis]]] = {}
        done = []
        width = -(-(goal.constraint.missing(goal.start) + 1) // STAGES)
        for parent, hypothesis in self._children(goal, beam, logits, generator):
            if hypothesis.tokens[-1] in self._kinds.closers and hypothesis.state.met == goal.constraint.words:
                done.append(hypothesis)
                continue
            missing = goal.constraint.missing(hypothesis.state)
            if len(hypothesis.tokens) + missing < goal.limit:  # one token more ends the sentence
                stages.setdefault(missing // width, []).append((parent, hypothesis))
        kept = []
        for _, stage in sorted(stages.items()):
            kept += sorted(stage, key=lambda child: -child[1].perturbed)[: self._beams]
        return kept, done

    def _children(
        self, goal: Goal, beam: Sequence[Hypothesis], logits: Tensor, generator: torch.Generator
    ) -> Iterator[tuple[int, Hypothesis]]:
        """Of each of `beam` the children that may be kept: its best, those that advance, those that end."""
        constraint = goal.constraint
        complete = [constraint.complete(parent.state) for parent in beam]
        advancing = [sorted(constraint.advancing(parent.state)) for parent in beam]
        allowed = self._allowed(goal, beam, complete, advancing)
        exact = logits.log_softmax(-1)
        cooled = logits / max(self._temperature, _COLDEST)
        scores = cooled.masked_fill(~allowed, -torch.inf).log_softmax(-1)
        likelihoods = scores + torch.tensor([parent.likelihood for parent in beam])[:, None]
        noise = -torch.empty_like(likelihoods).exponential_(generator=generator).log_()
        perturbed = conditioned(likelihoods + noise, torch.tensor([parent.perturbed for parent in beam]))
        likeliest = perturbed.topk(min(2 * self._beams, perturbed.shape[-1]), dim=-1).indices.tolist()
        for place, parent in enumerate(beam):
            chosen = {*likeliest[place], *advancing[place], *(self._kinds.closers if complete[place] else ())}
            ids = [token for token in sorted(chosen) if allowed[place, token]]
            numbers = (values[place, ids].tolist() for values in (exact, likelihoods, perturbed))
            for token, exactly, likelihood, score in zip(ids, *numbers, strict=True):
                state = constraint.step(parent.state, token)
                total = parent.log_probability + exactly
                yield place, Hypothesis((*parent.tokens, token), state, total, likelihood, score)

    def _allowed(
        self, goal: Goal, beam: Sequence[Hypothesis], complete: Sequence[bool], advancing: Sequence[list[int]]
    ) -> Tensor:
        """[K, vocabulary] which tokens may follow; those that the words need always may."""
        allowed = self._plain.repeat(len(beam), 1)
        allowed[:, self._closers] = False
        for row, parent, tokens, ends in zip(allowed, beam, advancing, complete, strict=True):
            row[repeating(parent.tokens, self._no_repeat)] = False
            row[tokens] = True
            if ends:
                row[self._closers] = True
        spare = goal.limit - 1 - goal.constraint.missing(goal.start)
        if not goal.opened and not beam[0].tokens and spare:
            allowed &= self._begins
        return allowed


def repeating(tokens: Sequence[int], size: int) -> list[int]:
    """Those that would end an n-gram of this size that `tokens` have already (Paulus et al. 2018, section 2.5)."""
    if not size:
        return []
    last = tuple(tokens[len(tokens) - size + 1 :])
    places = range(size - 1, len(tokens))
    return [tokens[place] for place in places if tuple(tokens[place - size + 1 : place]) == last]


def conditioned(perturbed: Tensor, parents: Tensor) -> Tensor:
    """[K, n] Gumbels of children given that the greatest of each row is its parent's, of `parents` [K].

    Kool et al. 2019, "Stochastic Beams and Where to Find Them", appendix B.3: the form that is stable.
    """
    greatest = perturbed.amax(-1, keepdim=True)
    shifted = parents[:, None] - perturbed + torch.log1p(-torch.exp(perturbed - greatest))
    return parents[:, None] - shifted.clamp(min=0) - torch.log1p(torch.exp(-shifted.abs()))
