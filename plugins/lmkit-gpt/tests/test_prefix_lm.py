"""A prefix is seen whole, what follows it from left to right, and only that is predicted."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lmkit_gpt.gpt2 import Gpt2, Gpt2Config
from lmkit_gpt.prefix_lm import PrefixConfig, PrefixLanguageModelling

from lmkit.batch import Example, pack
from lmkit.interfaces import Vocabulary
from lmkit.parts.generation import Generation

VOCABULARY = Vocabulary(size=60, special={"pad": 0, "eos": 1}, word_starts=np.ones(60, bool))
PREFIX_LM = PrefixLanguageModelling(PrefixConfig(), VOCABULARY)


@pytest.fixture(scope="module")
def gpt2() -> Gpt2:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Gpt2(Gpt2Config(layers=2, width=16, heads=2, positions=64), VOCABULARY).eval()


def test_where_a_prefix_ends_is_drawn_evenly_for_each_sequence() -> None:
    tokens = np.arange(10, 20)
    ends = []
    for n in range(1000):
        read, reach = PREFIX_LM.prepared(Example(tokens=tokens, lengths=(5, 5), key=(3, n)), 0.5)
        first, second = np.split(read.target, 2)
        ends.append((int(first.argmax()), int(second.argmax())))
        assert first[ends[-1][0] :].all()
        assert reach.tolist() == [max(i, end - 1) for end in ends[-1] for i in range(5)]
    for place in range(2):
        counts = np.bincount([pair[place] for pair in ends], minlength=5)
        assert counts[0] == 0
        assert counts[1:] == pytest.approx(250, abs=60)
    assert np.corrcoef(np.array(ends).T)[0, 1] == pytest.approx(0, abs=0.13)


def test_a_prompt_is_the_prefix_of_its_completion(gpt2: Gpt2) -> None:
    """Against the network read with a mask written out by hand."""
    tokens = np.array([7, 8, 9, 30, 31, 32])
    example = Example(tokens=tokens, lengths=(6,), target=np.arange(6) >= 3)
    batch = PREFIX_LM.collate([example], progress=0.1)
    head = PREFIX_LM.build_head(gpt2)
    assert batch.counts == {"prefix-lm": 3}
    packed, _ = pack([example], attention="mixed", filler=0, reach=[np.array([2, 2, 2, 3, 4, 5])])
    scores = head(gpt2(packed)[2:5], gpt2.token_embedding.weight)
    wanted = F.cross_entropy(scores, torch.tensor([30, 31, 32]), reduction="sum")
    torch.testing.assert_close(PREFIX_LM.loss(gpt2, head, batch)["prefix-lm"], wanted)


@pytest.mark.parametrize("cached", [True, False])
def test_generation_reads_a_prompt_as_training_did(gpt2: Gpt2, cached: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Token by token, with several prompts of different lengths, with and without a cache."""
    head = PREFIX_LM.build_head(gpt2)
    if not cached:
        monkeypatch.setattr(Gpt2, "new_cache", lambda *_: None)
    prompts = [np.array([7, 8, 9, 10, 11]), np.array([20, 21])]
    generation = Generation(gpt2, head, prompts, keys=[(0,), (1,)], max_new_tokens=4, temperature=0)
    drawn: dict[int, list[int]] = {0: [], 1: []}
    for one in generation:
        drawn[one.prompt].append(one.token)
    for number, prompt in enumerate(prompts):
        ids = prompt.tolist()
        for token in drawn[number]:
            reach = np.maximum(np.arange(len(ids)), len(prompt) - 1)
            packed, _ = pack(
                [Example(tokens=np.array(ids), lengths=(len(ids),))], attention="mixed", filler=0, reach=[reach]
            )
            with torch.no_grad():
                scores = head(gpt2(packed)[packed.last], gpt2.token_embedding.weight)
            assert int(scores.argmax()) == token
            ids.append(token)


def test_a_sequence_of_one_token_has_nothing_to_predict() -> None:
    example = Example(tokens=np.array([5, 6, 7]), lengths=(1, 2))
    assert PREFIX_LM.collate([example], progress=0.0).counts == {"prefix-lm": 1}
