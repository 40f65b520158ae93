"""Beam search against all continuations that there are, and against taking the likeliest token."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor

from lmkit.batch import Example, pack
from lmkit.interfaces import Vocabulary
from lmkit.parts.beam import beam_search
from lmkit.parts.generation import Generation
from lmkit.parts.heads import VocabularyHead
from lmkit.testing.reference import ReferenceEncoder

VOCABULARY = Vocabulary(size=5, special={"pad": 0, "eos": 1}, word_starts=np.ones(5, bool))
END = 1


@pytest.fixture(scope="module")
def model() -> tuple[ReferenceEncoder, VocabularyHead]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        encoder = ReferenceEncoder(ReferenceEncoder.Config(width=16), VOCABULARY)
        head = VocabularyHead(encoder, "next-token")
        with torch.no_grad():
            for weight in [*encoder.parameters(), *head.parameters()]:
                weight.add_(torch.randn(weight.shape) * 0.6)
    return encoder.eval(), head.eval()


def log_probability(
    model: tuple[ReferenceEncoder, VocabularyHead], prompt: Sequence[int], said: Sequence[int], context: Sequence[int]
) -> float:
    encoder, head = model
    ids = np.array([*prompt, *said])
    packed, _ = pack([Example(tokens=ids, lengths=(len(ids),))], attention="causal", filler=0)
    read, _ = pack([Example(tokens=np.array(context), lengths=(len(context),))], attention="bidirectional", filler=0)
    with torch.no_grad():
        hidden: Tensor = encoder(attrs.evolve(packed, context=read))[: len(ids)]
        scores = head(hidden, encoder.token_embedding.weight).double().log_softmax(-1)
    return float(sum(scores[len(prompt) - 1 + i, token] for i, token in enumerate(said)))


def all_continuations(most: int) -> list[tuple[tuple[int, ...], bool]]:
    plain = [token for token in range(5) if token != END]
    ended = [(said, True) for n in range(most) for said in itertools.product(plain, repeat=n)]
    return ended + [(said, False) for said in itertools.product(plain, repeat=most)]


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0, 2.0])
def test_a_wide_beam_finds_the_best_of_all(model: tuple[ReferenceEncoder, VocabularyHead], penalty: float) -> None:
    """Two prompts at once, each with a context of its own, of 85 continuations of up to three tokens."""
    prompts, contexts = [[2, 3], [4]], [[3, 3, 2], [4, 2]]
    found = beam_search(
        *model,
        [np.array(p) for p in prompts],
        contexts=[np.array(c) for c in contexts],
        beams=64,
        max_new_tokens=3,
        end_ids=[END],
        length_penalty=penalty,
    )
    for prompt, context, best in zip(prompts, contexts, found, strict=True):
        ranked = []
        for said, ended in all_continuations(3):
            whole = (*said, END) if ended else said
            likelihood = log_probability(model, prompt, whole, context)
            ranked.append((likelihood / len(whole) ** penalty, said, ended, likelihood))
        ranked.sort(reverse=True)
        assert len(best) == 64
        for (_, said, ended, likelihood), one in zip(ranked[:10], best, strict=False):
            assert (one.tokens, one.ended) == (said, ended)
            assert one.log_probability == pytest.approx(likelihood, abs=1e-4)


def test_one_beam_takes_the_likeliest_token(model: tuple[ReferenceEncoder, VocabularyHead]) -> None:
    prompts = [np.array(p) for p in ([2, 3], [4], [3, 2, 4, 2])]
    [*found] = beam_search(*model, prompts, beams=1, max_new_tokens=8, end_ids=[END])
    drawn: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for one in Generation(*model, prompts, keys=[(0,)] * 3, max_new_tokens=8, temperature=0, end_ids=[END]):
        if one.token != END:
            drawn[one.prompt].append(one.token)
    assert [list(best[0].tokens) for best in found] == list(drawn.values())


def test_company_changes_nothing(model: tuple[ReferenceEncoder, VocabularyHead]) -> None:
    prompts = [np.array(p) for p in ([2, 3], [4], [3, 2, 4, 2], [2])]
    together = beam_search(*model, prompts, beams=3, max_new_tokens=6, end_ids=[END])
    for prompt, best in zip(prompts, together, strict=True):
        [alone] = beam_search(*model, [prompt], beams=3, max_new_tokens=6, end_ids=[END])
        assert [one.tokens for one in alone] == [one.tokens for one in best]


def test_no_prompts_and_no_room(model: tuple[ReferenceEncoder, VocabularyHead]) -> None:
    assert beam_search(*model, [], beams=2, max_new_tokens=3, end_ids=[END]) == []


@pytest.mark.parametrize("seed", range(12))
def test_one_beam_ends_where_the_end_is_likeliest(seed: int) -> None:
    """Of models that end soon: the runner-up would go on, and win by its length."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = ReferenceEncoder(ReferenceEncoder.Config(width=16), VOCABULARY)
        head = VocabularyHead(encoder, "next-token")
        with torch.no_grad():
            for weight in [*encoder.parameters(), *head.parameters()]:
                weight.add_(torch.randn(weight.shape) * 0.4)
    encoder.eval()
    prompts = [np.array([n]) for n in (2, 3, 4)]
    found = beam_search(encoder, head, prompts, beams=1, max_new_tokens=8, end_ids=[END], length_penalty=2.0)
    drawn: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for one in Generation(encoder, head, prompts, keys=[(0,)] * 3, max_new_tokens=8, temperature=0, end_ids=[END]):
        if one.token != END:
            drawn[one.prompt].append(one.token)
    assert [list(best[0].tokens) for best in found] == list(drawn.values())
