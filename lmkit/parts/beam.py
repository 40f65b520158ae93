"""Beam search: the likeliest continuations of prompts, several of each kept at every step, many prompts at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import attrs
import numpy.typing as npt
import torch
from torch import nn

from lmkit.interfaces import Encoder
from lmkit.parts.generation import check_room
from lmkit.parts.sequences import Sequences


@attrs.frozen
class Found:
    """A continuation that ended."""

    tokens: tuple[int, ...]
    """Without the prompt and the token that ended it."""
    log_probability: float
    """Of all its tokens and the end, in nats."""
    ended: bool
    """Whether the model ended it; else there was no room for more."""


@attrs.define
class _Search:
    """What is known of one prompt."""

    found: list[tuple[float, Found]]
    rows: list[int]


def beam_search(
    encoder: Encoder,
    head: nn.Module,
    prompts: Sequence[npt.NDArray[Any]],
    *,
    beams: int,
    max_new_tokens: int,
    end_ids: Collection[int],
    length_penalty: float = 1.0,
    contexts: Sequence[npt.NDArray[Any]] = (),
) -> list[list[Found]]:
    """At most `beams` continuations of each prompt [n >= 1] ids, the best first.

    They are ranked by log-probability over length ** `length_penalty`, the end counted (Wu et al. 2016, section 7, with
    the plain power that is common now).  A prompt is done when it has `beams` of them and no running one can become
    better.  `contexts` are what a decoder reads across, one for each prompt.
    Raises DataError for a prompt that leaves no room.
    """
    for prompt in prompts:
        check_room(encoder, len(prompt))
    limits = [max_new_tokens] * len(prompts)
    if encoder.longest is not None:
        limits = [min(limit, encoder.longest - len(prompt)) for limit, prompt in zip(limits, prompts, strict=True)]
    capacity = max((len(p) + limit for p, limit in zip(prompts, limits, strict=True)), default=0)
    sequences = Sequences(encoder, head, prompts, capacity, contexts)
    searches = [_Search([], [i]) for i in range(len(prompts))]
    sums = torch.zeros(len(prompts), dtype=torch.float64)
    ends = torch.tensor(sorted(end_ids), dtype=torch.int64)
    step = 0
    while any(search.rows for search in searches):
        step += 1
        scores = sums[:, None] + sequences.logits().log_softmax(-1).double().cpu()
        rows: list[int] = []
        tokens: list[int] = []
        kept: list[float] = []
        for search, prompt, limit in zip(searches, prompts, limits, strict=True):
            if not search.rows:
                continue
            own = scores[search.rows]
            wanted = min(beams * (1 + len(ends)), own.numel())  # so that enough are left when some end
            values, places = own.flatten().topk(wanted)
            running: list[tuple[int, int, float]] = []
            for rank, (value, place) in enumerate(zip(values.tolist(), places.tolist(), strict=True)):
                row, token = search.rows[place // own.shape[1]], place % own.shape[1]
                if token in end_ids:
                    if rank >= beams:  # an end counts where it is among the best, so that one beam is greedy
                        continue
                    said = tuple(sequences.ids[row][len(prompt) :])
                    search.found.append((value / step**length_penalty, Found(said, value, True)))
                elif len(running) < beams:
                    running.append((row, token, value))
            _keep(search.found, beams)
            if beams == 1 and search.found:
                running = []
            if step == limit:
                for row, token, value in running:
                    said = (*sequences.ids[row][len(prompt) :], token)
                    search.found.append((value / step**length_penalty, Found(said, value, False)))
                running = []
            elif len(search.found) == beams and running:
                # A sum only falls; where length is rewarded, it is divided by the most that it may be.
                longest = limit if length_penalty > 0 else step
                if running[0][2] / longest**length_penalty <= search.found[-1][0]:
                    running = []
            _keep(search.found, beams)
            search.rows = list(range(len(rows), len(rows) + len(running)))
            rows += [row for row, _, _ in running]
            tokens += [token for _, token, _ in running]
            kept += [value for _, _, value in running]
        if rows:
            sequences.select(rows)
            sequences.append(tokens)
            sums = torch.tensor(kept, dtype=torch.float64)
    return [[found for _, found in search.found] for search in searches]


def _keep(found: list[tuple[float, Found]], beams: int) -> None:
    found.sort(key=lambda item: (-item[0], item[1].tokens))
    del found[beams:]
