"""Continuing prompts token by token, many at once, with a cache where the encoder has one.

Each prompt draws from a generator of its own, so that its company never changes its answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lmkit.errors import DataError
from lmkit.interfaces import Encoder
from lmkit.parts.sequences import Sequences


@attrs.frozen
class Drawn:
    """One new token of one prompt."""

    prompt: int
    """Which one, by its place among the prompts."""
    token: int
    """Its id."""
    log_probability: float
    """Of the token after all before it, in nats, before temperature and cuts."""
    stopped: Literal["end", "length"] | None
    """Why it is the prompt's last: it ends a text, or there is no room for more; None: more will come."""


_GREEDY = 1e-6
"""Temperatures below it take the likeliest token: they would, but for rounding."""


class Generation:
    """Continues `prompts`, each [n >= 1] ids; iterate it for the tokens as they are drawn, once.

    `temperature` 0 takes the likeliest token; `top_k` 0 keeps all; `top_p` keeps the fewest tokens whose probabilities
    reach it (nucleus sampling, Holtzman et al. 2020, section 3.1).  `keys` seeds each prompt's generator.
    `end_ids` are the tokens that end a text.  Raises DataError for a prompt that leaves no room.
    """

    def __init__(
        self,
        encoder: Encoder,
        head: nn.Module,
        prompts: Sequence[npt.NDArray[Any]],
        *,
        keys: Sequence[tuple[int, ...]],
        max_new_tokens: int,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        end_ids: Collection[int] = (),
    ) -> None:
        for prompt in prompts:
            check_room(encoder, len(prompt))
        self._temperature, self._top_k, self._top_p = temperature, top_k, top_p
        self._end_ids = frozenset(end_ids)
        longest = [len(prompt) + max_new_tokens for prompt in prompts]
        self._limits = longest if encoder.longest is None else [min(n, encoder.longest) for n in longest]
        self._generators = [np.random.default_rng(key) for key in keys]
        self._running = list(range(len(prompts)))
        self._finished: set[int] = set()
        self._sequences = Sequences(encoder, head, prompts, max(self._limits, default=0))

    def leave(self, prompt: int) -> None:
        """Draw no more for this prompt."""
        self._finished.add(prompt)

    def __iter__(self) -> Iterator[Drawn]:
        while self._running:
            tokens, log_probabilities = self._step()
            self._sequences.append(tokens)
            lengths = [len(ids) for ids in self._sequences.ids]
            drawn = zip(list(self._running), tokens, log_probabilities, lengths, strict=True)
            for prompt, token, log_probability, length in drawn:
                stopped: Literal["end", "length"] | None = None
                if token in self._end_ids:
                    stopped = "end"
                elif length == self._limits[prompt]:
                    stopped = "length"
                if stopped:
                    self.leave(prompt)
                yield Drawn(prompt, token, log_probability, stopped)
            self._let_go()

    def _step(self) -> tuple[list[int], list[float]]:
        """The next token of each running sequence, and its log-probability."""
        logits = self._sequences.logits()
        with torch.inference_mode():
            if self._temperature < _GREEDY:
                tokens = logits.argmax(-1)
            else:
                uniforms = torch.tensor([self._generators[i].random() for i in self._running], dtype=torch.float64)
                scores = (logits - logits.amax(-1, keepdim=True)) / self._temperature
                tokens = draw(scores, uniforms.to(logits.device), self._top_k, self._top_p)
            likelihoods = logits.log_softmax(-1).gather(1, tokens[:, None])[:, 0]
            return tokens.tolist(), likelihoods.tolist()

    def _let_go(self) -> None:
        """Finished prompts leave the batch."""
        staying = [i for i, prompt in enumerate(self._running) if prompt not in self._finished]
        self._running = [self._running[i] for i in staying]
        self._sequences.select(staying)


def check_room(encoder: Encoder, tokens: int) -> None:
    """Raise DataError where a prompt of so many tokens is empty, or leaves no room for one more."""
    if not tokens:
        raise DataError("an empty prompt: write at least one word to continue")
    if encoder.longest is not None and tokens >= encoder.longest:
        raise DataError(
            f"the prompt has {tokens:,} tokens, but this model reads {encoder.longest:,} at most, "
            f"new ones included: shorten it"
        )


def draw(scores: Tensor, uniforms: Tensor, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """[K] ids, one drawn from each row of `scores` [K, vocabulary] by its own number of `uniforms` [K] in [0, 1)."""
    ids = None
    if top_k or top_p < 1:
        size = scores.shape[-1]
        scores, ids = scores.topk(min(top_k or size, size), dim=-1)
    probabilities = scores.double().softmax(-1)
    if top_p < 1:
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.masked_fill(before >= top_p, 0)  # the likeliest always stays
    cumulative = probabilities.cumsum(-1)
    # The first token whose cumulative probability is above the number: never one of probability zero.
    chosen = torch.searchsorted(cumulative, uniforms[:, None] * cumulative[:, -1:], right=True)
    chosen = chosen.clamp(max=scores.shape[-1] - 1)
    return (chosen if ids is None else ids.gather(1, chosen))[:, 0]
