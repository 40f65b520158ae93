from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lmkit.batch import Attention, Cache, Example, Packed, pack
from lmkit.errors import DataError
from lmkit.interfaces import Encoder, Vocabulary
from lmkit.parts.attention import KeyValueCache, attend, attention_bias, merge_heads, split_heads
from lmkit.parts.generation import Drawn, Generation, draw
from lmkit.parts.heads import VocabularyHead

VOCABULARY = Vocabulary(size=50, special={"pad": 0, "eos": 1}, word_starts=np.ones(50, bool))


class Reader(Encoder):
    """One layer of attention: enough to need its past."""

    name = "reader"
    attention = frozenset[Attention]({"causal"})

    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.width = 16
        self.token_embedding = nn.Embedding(vocabulary.size, 16)
        self.position_embedding = nn.Embedding(40, 16)
        self.qkv = nn.Linear(16, 48)
        self.mix = nn.Linear(16, 16)
        self.read = 0

    @property
    def longest(self) -> int:
        return 40

    def forward(self, inputs: Packed) -> Tensor:
        self.read += inputs.tokens.numel()
        hidden = self.token_embedding(inputs.tokens) + self.position_embedding(inputs.positions)
        query, key, value = (split_heads(s, 2, inputs.row_tokens) for s in self.qkv(hidden).chunk(3, dim=-1))
        if isinstance(inputs.cache, KeyValueCache):
            key, value = inputs.cache.extend(0, inputs, key, value)
        attended = merge_heads(attend(query, key, value, attention_bias(inputs, hidden.dtype)))
        mixed: Tensor = self.mix(hidden + 3 * attended)
        return mixed

    def new_cache(self, sequences: int, capacity: int) -> Cache | None:
        return KeyValueCache(1, sequences, 2, capacity, 8)


class Forgetful(Reader):
    """The same without a cache."""

    def new_cache(self, sequences: int, capacity: int) -> Cache | None:
        return None


@pytest.fixture(scope="module")
def reader() -> Reader:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Reader(None, VOCABULARY)


@pytest.fixture(scope="module")
def head(reader: Reader) -> VocabularyHead:
    return VocabularyHead(reader)


@pytest.fixture(scope="module")
def forgetful(reader: Reader) -> Forgetful:
    encoder = Forgetful(None, VOCABULARY)
    encoder.load_state_dict(reader.state_dict())
    return encoder


def prompts(*lengths: int) -> list[npt.NDArray[Any]]:
    return [np.random.default_rng(n).integers(2, 50, n) for n in lengths]


def generated(
    encoder: Encoder, head: nn.Module, given: Sequence[npt.NDArray[Any]], first_key: int = 0, **options: Any
) -> list[list[Drawn]]:
    keys = [(7, first_key + i) for i in range(len(given))]
    answers: list[list[Drawn]] = [[] for _ in given]
    for drawn in Generation(encoder, head, given, keys=keys, **{"max_new_tokens": 12} | options):
        answers[drawn.prompt].append(drawn)
    return answers


def tokens(answers: list[list[Drawn]]) -> list[list[int]]:
    return [[drawn.token for drawn in answer] for answer in answers]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_with_and_without_a_cache_the_same_tokens_are_drawn(
    reader: Reader, forgetful: Forgetful, head: VocabularyHead, temperature: float
) -> None:
    with_cache = generated(reader, head, prompts(3, 11, 1, 7), temperature=temperature)
    without = generated(forgetful, head, prompts(3, 11, 1, 7), temperature=temperature)
    assert tokens(with_cache) == tokens(without)
    assert len({tuple(answer) for answer in tokens(with_cache)}) == 4
    for one, other in zip(with_cache, without, strict=True):
        assert [d.log_probability for d in one] == pytest.approx([d.log_probability for d in other], abs=1e-5)


def test_a_cache_reads_each_token_once(reader: Reader, forgetful: Forgetful, head: VocabularyHead) -> None:
    reader.read = forgetful.read = 0
    generated(reader, head, prompts(5), temperature=0)
    generated(forgetful, head, prompts(5), temperature=0)
    assert reader.read == 5 + 11
    assert forgetful.read == sum(range(5, 17))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_prompt_is_continued_in_company_as_alone(reader: Reader, head: VocabularyHead, temperature: float) -> None:
    given = prompts(3, 11, 1, 7, 20)
    together = tokens(generated(reader, head, given, temperature=temperature, end_ids=[4, 9]))
    alone = [
        tokens(generated(reader, head, [prompt], first_key=i, temperature=temperature, end_ids=[4, 9]))[0]
        for i, prompt in enumerate(given)
    ]
    assert together == alone
    assert temperature == 0 or len(set(map(len, together))) > 1, "none left the batch early"


def test_greedy_takes_the_likeliest_token_each_time(forgetful: Forgetful, head: VocabularyHead) -> None:
    (answer,) = generated(forgetful, head, prompts(4), temperature=0)
    narrow = generated(forgetful, head, prompts(4), temperature=1.0, top_k=1)
    cold = generated(forgetful, head, prompts(4), temperature=1e-30)
    assert tokens([answer]) == tokens(narrow) == tokens(cold)
    assert len(set(tokens([answer])[0])) > 1


def test_the_seed_decides_what_is_drawn(reader: Reader, head: VocabularyHead) -> None:
    one, again, other = (generated(reader, head, prompts(4), first_key=key) for key in (0, 0, 1))
    assert one == again
    assert tokens(one) != tokens(other)


def test_log_probabilities_are_those_of_the_model_before_temperature_and_cuts(
    reader: Reader, head: VocabularyHead
) -> None:
    (answer,) = generated(reader, head, prompts(4), temperature=2.0, top_k=9)
    text = np.concatenate([prompts(4)[0], [drawn.token for drawn in answer]])
    packed, _ = pack([Example(tokens=text, lengths=(16,))], attention="causal", filler=0)
    with torch.no_grad():
        scores = head(reader(packed), reader.token_embedding.weight).log_softmax(-1)
    wanted = [float(scores[place - 1, text[place]]) for place in range(4, 16)]
    assert [drawn.log_probability for drawn in answer] == pytest.approx(wanted, abs=1e-5)


def test_generation_ends_at_an_end_token_or_where_there_is_no_room(reader: Reader, head: VocabularyHead) -> None:
    every = range(50)
    assert [[d.stopped for d in a] for a in generated(reader, head, prompts(4), end_ids=every)] == [["end"]]
    (few,) = generated(reader, head, prompts(4), max_new_tokens=2)
    assert [d.stopped for d in few] == [None, "length"]
    short, long = generated(reader, head, prompts(4, 38), max_new_tokens=9)
    assert (len(short), len(long)) == (9, 2)  # 40 positions
    assert long[-1].stopped == "length"


def test_a_prompt_can_leave_while_others_go_on(reader: Reader, head: VocabularyHead) -> None:
    given = prompts(3, 5, 7)
    whole = tokens(generated(reader, head, given))
    generation = Generation(reader, head, given, keys=[(7, 0), (7, 1), (7, 2)], max_new_tokens=12)
    seen: list[list[int]] = [[], [], []]
    for drawn in generation:
        seen[drawn.prompt].append(drawn.token)
        if drawn.prompt == 1 and len(seen[1]) == 4:
            generation.leave(1)
    assert seen == [whole[0], whole[1][:4], whole[2]]


def test_training_goes_on_where_it_was(reader: Reader, head: VocabularyHead) -> None:
    reader.train()
    for _ in Generation(reader, head, prompts(3), keys=[(1,)], max_new_tokens=2):
        assert reader.training
        assert not torch.is_inference_mode_enabled()
    assert all(module.training for module in reader.modules())


def test_no_prompts_give_no_tokens(reader: Reader, head: VocabularyHead) -> None:
    assert generated(reader, head, []) == []


@pytest.mark.parametrize(
    ("length", "sentence"),
    [
        (0, "an empty prompt: write at least one word to continue"),
        (40, "the prompt has 40 tokens, but this model reads 40 at most, new ones included: shorten it"),
        (1234, "the prompt has 1,234 tokens, but this model reads 40 at most, new ones included: shorten it"),
    ],
)
def test_a_prompt_without_room_is_refused(reader: Reader, head: VocabularyHead, length: int, sentence: str) -> None:
    with pytest.raises(DataError) as raised:
        generated(reader, head, prompts(3, length))
    assert str(raised.value) == sentence


@given(st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=12), st.floats(0.01, 1), st.integers(0, 12))
@example([16.0, -5.0], 1.0, 0)
@settings(max_examples=60, deadline=None)
def test_draws_come_from_the_nucleus_of_the_likeliest(scores: list[float], top_p: float, top_k: int) -> None:
    """Against the definition, token by token."""
    probabilities = torch.tensor(scores).double().softmax(0)
    ranked = sorted(range(len(scores)), key=lambda i: -probabilities[i])[: top_k or None]
    total = sum(float(probabilities[i]) for i in ranked)
    kept, reached = set[int](), 0.0
    for i in ranked:
        if reached < top_p + 1e-9:  # at the very border either is right
            kept.add(i)
        reached += float(probabilities[i]) / total
    least = min(float(probabilities[i]) for i in kept)
    uniforms = torch.linspace(0, 1 - 1e-12, 200, dtype=torch.float64)
    drawn = draw(torch.tensor(scores).expand(200, -1), uniforms, top_k, top_p)
    assert all(float(probabilities[i]) >= least - 1e-9 for i in drawn.tolist())
    assert ranked[0] in drawn.tolist() or float(probabilities[ranked[0]]) <= least + 1e-9


def test_draws_follow_the_probabilities() -> None:
    scores = torch.tensor([0.5, 0.0, 0.3, 0.2]).log()
    drawn = draw(scores.expand(1000, -1), torch.arange(1000, dtype=torch.float64) / 1000)
    assert torch.bincount(drawn).tolist() == pytest.approx([500, 0, 300, 200], abs=1)
    nucleus = draw(scores.expand(1000, -1), torch.arange(1000, dtype=torch.float64) / 1000, 0, 0.7)
    assert torch.bincount(nucleus, minlength=4).tolist() == pytest.approx([625, 0, 375, 0], abs=1)


def test_a_token_of_probability_zero_is_never_drawn() -> None:
    scores = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]]).log()
    assert [int(draw(scores, torch.tensor([u], dtype=torch.float64))) for u in (0.0, 0.5, 1 - 2**-53)] == [1, 3, 3]
