"""Encoders that are wrong in one way each, and the checks that have to find it; one with a cache is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from lmkit.batch import Attention, Cache, Packed
from lmkit.interfaces import Encoder, Renamed, Vocabulary
from lmkit.testing import ReferenceEncoder


class Leak(ReferenceEncoder):
    """Its mask knows rows, but no documents."""

    def sees(self, inputs: Packed) -> Tensor:
        return super().sees(attrs.evolve(inputs, documents=torch.zeros_like(inputs.documents)))


class FuturePeek(ReferenceEncoder):
    """Causal attention sees one token ahead."""

    attention: ClassVar[frozenset[Attention]] = frozenset({"bidirectional", "causal"})

    def sees(self, inputs: Packed) -> Tensor:
        if inputs.attention != "causal":
            return super().sees(inputs)
        return super().sees(attrs.evolve(inputs, attention="mixed", reach=inputs.positions + 1))


class AlwaysCausal(ReferenceEncoder):
    attention: ClassVar[frozenset[Attention]] = frozenset({"bidirectional", "causal"})

    def sees(self, inputs: Packed) -> Tensor:
        return super().sees(attrs.evolve(inputs, attention="causal"))


class ReachNotRead(ReferenceEncoder):
    """Mixed attention is causal."""

    def sees(self, inputs: Packed) -> Tensor:
        return super().sees(attrs.evolve(inputs, reach=None))


class PositionsOfTheRow(ReferenceEncoder):
    def embed(self, inputs: Packed) -> Tensor:
        places = torch.arange(inputs.tokens.numel()) % inputs.row_tokens
        return super().embed(attrs.evolve(inputs, positions=places))


class FillerSeen(ReferenceEncoder):
    """What fills a row is part of every mean."""

    def sees(self, inputs: Packed) -> Tensor:
        documents = inputs.documents.view(inputs.rows, 1, inputs.row_tokens)
        return super().sees(inputs) | (documents == documents.amax(-1, keepdim=True))


class IdleLayer(ReferenceEncoder):
    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.idle = nn.Linear(4, 4)


class AnotherEmbedding(ReferenceEncoder):
    """Reads another table than the one that heads are tied to."""

    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.read = nn.Embedding(vocabulary.size, config.width)

    def embed(self, inputs: Packed) -> Tensor:
        mine, self.token_embedding = self.token_embedding, self.read
        try:
            return super().embed(inputs)
        finally:
            self.token_embedding = mine


class DropsInEvaluation(ReferenceEncoder):
    def embed(self, inputs: Packed) -> Tensor:
        return nn.functional.dropout(super().embed(inputs), self.dropout.p)


class DropoutNotWired(ReferenceEncoder):
    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__(attrs.evolve(config, dropout=0.0), vocabulary)


class NumpyWeights(ReferenceEncoder):
    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        with torch.no_grad():
            self.out.weight += 0.01 * torch.from_numpy(np.random.randn(*self.out.weight.shape)).float()


class NumpyDropout(ReferenceEncoder):
    def embed(self, inputs: Packed) -> Tensor:
        embedded = super().embed(inputs)
        if self.training and self.dropout.p:
            embedded = embedded * torch.from_numpy(np.random.rand(len(embedded), 1) > 0.1)
        return embedded


class OddRole(ReferenceEncoder):
    def roles(self) -> dict[str, str]:
        return {**super().roles(), "norm.weight": "norm"}


class PromisesTooMuch(ReferenceEncoder):
    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.places = nn.Embedding(128, config.width)

    def embed(self, inputs: Packed) -> Tensor:
        return super().embed(inputs) + self.places(inputs.positions)


class ForeignLayers(ReferenceEncoder):
    @property
    def layers(self) -> Sequence[nn.Module]:
        return [nn.Linear(2, 2)]


class StateOutside(ReferenceEncoder):
    """A tensor that is neither parameter nor buffer."""

    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.scale = 1 + 0.1 * torch.rand(config.width)

    def embed(self, inputs: Packed) -> Tensor:
        return super().embed(inputs) * self.scale


class NormOverTheBatch(ReferenceEncoder):
    def embed(self, inputs: Packed) -> Tensor:
        embedded = super().embed(inputs)
        return embedded - embedded.mean(0)


class PoolsTheFirst(ReferenceEncoder):
    """One state for all sequences."""

    def pool(self, hidden: Tensor, inputs: Packed) -> Tensor:
        return hidden[:1].expand(len(inputs.first), -1)


class OverflowsInHalf(ReferenceEncoder):
    def forward(self, inputs: Packed) -> Tensor:
        states = super().forward(inputs)
        kept = states + 300.0
        return (kept.bfloat16().float() if torch.is_autocast_enabled("cpu") else kept) - 300.0


class NamesLeftOut(ReferenceEncoder):
    def transformers_names(self) -> Mapping[str, Renamed]:
        names = {name: Renamed((name,)) for name, _ in self.named_parameters()}
        del names["norm.bias"]
        return names


class GrowsSmaller(ReferenceEncoder):
    def smaller(self, factor: float) -> Any:
        return attrs.evolve(ReferenceEncoder.Config(), width=int(64 / factor))


class NextContext(ReferenceEncoder):
    """Sequence i reads the context's sequence i + 1."""

    def forward(self, inputs: Packed) -> Tensor:
        if inputs.context is not None:
            context = inputs.context
            turned = attrs.evolve(context, first=context.first.roll(-1), last=context.last.roll(-1))
            inputs = attrs.evolve(inputs, context=turned)
        return super().forward(inputs)


class SumCache(Cache):
    """What was shown so far, summed, and by how many tokens."""

    def __init__(self, total: Tensor, count: Tensor) -> None:
        self.total, self.count = total, count

    def select(self, rows: Tensor) -> SumCache:
        return SumCache(self.total[rows], self.count[rows])


class Cached(ReferenceEncoder):
    """The reference with a cache, as it should be: filler adds nothing."""

    attention: ClassVar[frozenset[Attention]] = frozenset({"causal"})
    takes_context = False
    adds_filler = False

    def new_cache(self, sequences: int, capacity: int) -> Cache:
        return SumCache(torch.zeros(sequences, 1, 2 * self.width), torch.zeros(sequences, 1, 1))

    def forward(self, inputs: Packed) -> Tensor:
        cache = inputs.cache
        if not isinstance(cache, SumCache):
            return super().forward(inputs)
        states = self.embed(inputs)
        shown = torch.relu(self.show(states)).view(inputs.rows, inputs.row_tokens, -1)
        real = (inputs.documents == 0).view(inputs.rows, inputs.row_tokens, 1).float()
        added = torch.ones_like(real) if self.adds_filler else real
        total, count = cache.total + (shown * added).cumsum(1), cache.count + added.cumsum(1)
        cache.total, cache.count = total[:, -1:], count[:, -1:]
        mean = (total / count).flatten(0, 1)
        mixed = torch.relu(self.mix(torch.cat([states, mean, torch.zeros_like(mean)], dim=-1)))
        result: Tensor = self.norm(states + self.out(mixed))
        return result


class CachesFiller(Cached):
    adds_filler = True


WRONG: dict[type[Encoder], set[str]] = {
    Leak: {"packed_sequences_do_not_see_each_other", "packed_is_as_alone", "filler_does_not_matter"},
    FuturePeek: {"causal_means_causal"},
    AlwaysCausal: {"bidirectional_sees_both_ways"},
    ReachNotRead: {"mixed_honours_reach"},
    PositionsOfTheRow: {"packed_is_as_alone"},
    FillerSeen: {"packed_is_as_alone", "filler_does_not_matter"},
    IdleLayer: {"every_parameter_learns"},
    AnotherEmbedding: {"tokens_are_embedded", "every_parameter_learns"},
    DropsInEvaluation: {"evaluation_is_deterministic", "dropout_drops"},
    DropoutNotWired: {"dropout_drops"},
    NumpyWeights: {"same_seed_same_weights"},
    NumpyDropout: {"training_draws_from_torch_only", "resume_is_exact"},
    OddRole: {"roles_cover_all_parameters"},
    PromisesTooMuch: {"longest_is_readable"},
    ForeignLayers: {"layers_are_its_own"},
    StateOutside: {"weights_survive_saving"},
    NormOverTheBatch: {
        "packed_sequences_do_not_see_each_other",
        "packed_is_as_alone",
        "filler_does_not_matter",
        "causal_means_causal",
        "mixed_honours_reach",
        "context_is_read_by_sequence",
        "gradient_does_not_depend_on_the_split",
    },
    PoolsTheFirst: {"packed_is_as_alone"},
    OverflowsInHalf: {"bf16_is_near"},
    NamesLeftOut: {"transformers_names_cover_all_parameters"},
    GrowsSmaller: {"smaller_is_smaller"},
    NextContext: {
        "context_is_read_by_sequence",
        "packed_sequences_do_not_see_each_other",
        "packed_is_as_alone",
        "gradient_does_not_depend_on_the_split",
    },
    Cached: set(),
    CachesFiller: {"cached_is_as_uncached"},
}
"""Wrong encoder -> the checks that it fails: these, and no other."""
