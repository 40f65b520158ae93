"""Objectives that are wrong in one way each, and the checks that have to find it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from lmkit.batch import Example, pack
from lmkit.interfaces import Encoder, Vocabulary
from lmkit.parts.heads import VocabularyHead
from lmkit.parts.scored import ScoredBatch
from lmkit.testing import Continuing, Denoising


class MeanForSum(Denoising):
    def loss(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch) -> dict[str, Tensor]:
        return {"loss": super().loss(encoder, head, batch)["loss"] / max(1, batch.counts["loss"])}


class SharedGenerator(Denoising):
    """One generator for all examples, kept on the objective."""

    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.generator = np.random.default_rng(1)

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        seed = int(self.generator.integers(1 << 30))
        return super().collate([attrs.evolve(e, key=(seed, n)) for n, e in enumerate(examples)], progress=progress)


class GeneratorOfTheBatch(Denoising):
    """Seeded anew in each batch, so that a mask depends on the place in it."""

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        return super().collate([attrs.evolve(e, key=(n,)) for n, e in enumerate(examples)], progress=progress)


class GlobalGenerator(Denoising):
    """Draws from numpy's global generator, and does nothing with it."""

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        np.random.rand()
        return super().collate(examples, progress=progress)


class GlobalMasks(Denoising):
    """Masks follow from torch's global seed."""

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        seed = torch.initial_seed() % 1000
        return super().collate([attrs.evolve(e, key=(*e.key, seed)) for e in examples], progress=progress)


class TermLeftOut(Denoising):
    """No loss at all where a batch has nothing to predict."""

    def loss(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch) -> dict[str, Tensor]:
        return super().loss(encoder, head, batch) if batch.counts["loss"] else {}


class TermNotDeclared(Denoising):
    def loss(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch) -> dict[str, Tensor]:
        losses = super().loss(encoder, head, batch)
        return {**losses, "another": losses["loss"]}

    def measure(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch) -> dict[str, Tensor]:
        return super().loss(encoder, head, batch)


class CountsOfAllTokens(Denoising):
    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        batch = super().collate(examples, progress=progress)
        return attrs.evolve(batch, counts={"loss": batch.tokens})

    def measure(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch) -> dict[str, Tensor]:
        return self.loss(encoder, head, batch)


class CountsOfFiller(CountsOfAllTokens):
    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        batch = super().collate(examples, progress=progress)
        return attrs.evolve(batch, counts={"loss": batch.inputs.row_tokens})


class NothingIsNotANumber(Denoising):
    """A factor that is 0 / 0 where a batch has nothing to predict."""

    def loss(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch) -> dict[str, Tensor]:
        count = torch.tensor(float(batch.counts["loss"]))
        return {"loss": super().loss(encoder, head, batch)["loss"] * (count / count)}


class Unmasked(Denoising):
    """What is to be predicted stands in the inputs."""

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        batch = super().collate(examples, progress=progress)
        tokens = batch.inputs.tokens.clone()
        tokens[batch.scored] = batch.targets
        return attrs.evolve(batch, inputs=attrs.evolve(batch.inputs, tokens=tokens))


class NotShifted(Continuing):
    """Each token is predicted from itself."""

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        batch = super().collate(examples, progress=progress)
        return attrs.evolve(batch, scored=batch.scored + 1)


class FutureVisible(Continuing):
    """Causal by its own word, but its batches are bidirectional."""

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        batch = super().collate(examples, progress=progress)
        return attrs.evolve(batch, inputs=attrs.evolve(batch.inputs, attention="bidirectional"))


class ContextPackedByItself(Denoising):
    """Short contexts share a row, where what reads them does not."""

    needs_context = True

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        batch = super().collate(examples, progress=progress)
        short = [Example(tokens=e.tokens[: len(e.lengths)], lengths=(1,) * len(e.lengths)) for e in examples]
        context, _ = pack(short, attention="bidirectional", filler=0)
        return attrs.evolve(batch, inputs=attrs.evolve(batch.inputs, context=context))


class IdleHeadLayer(Denoising):
    def build_head(self, encoder: Encoder) -> VocabularyHead:
        head = VocabularyHead(encoder)
        head.idle = nn.Linear(2, 2)
        return head


class TiedWeightInTheHead(Denoising):
    def build_head(self, encoder: Encoder) -> VocabularyHead:
        head = VocabularyHead(encoder)
        head.decoder = encoder.token_embedding
        return head


class OddRole(Denoising):
    def head_roles(self, head: nn.Module) -> dict[str, str]:
        return dict.fromkeys(dict(head.named_parameters()), "weight")


class _Averaging(VocabularyHead):
    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.average = torch.ones(encoder.width)

    def transform(self, hidden: Tensor) -> Tensor:
        features = super().transform(hidden)
        if self.training:
            self.average = 0.9 * self.average + 0.1 * features.detach().abs().mean(0)
        return features / self.average


class StateOutside(Denoising):
    """Its head keeps a running mean that is no buffer."""

    def build_head(self, encoder: Encoder) -> VocabularyHead:
        return _Averaging(encoder)


class WritesInPlace(Denoising):
    """Rewrites a token of the examples that it was lent."""

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        for example in examples:
            example.tokens[example.tokens == example.tokens[-1]] = 3
        return super().collate(examples, progress=progress)


class ValidationLikeTraining(Denoising):
    """Without a progress it takes the last one that it saw."""

    last = 0.0

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        self.last = self.last if progress is None else progress
        changed = [attrs.evolve(e, key=(*e.key, int(100 * self.last))) for e in examples]
        return super().collate(changed, progress=progress)


class MeasuresMeans(Denoising):
    def measure(self, encoder: Encoder, head: nn.Module, batch: ScoredBatch) -> dict[str, Tensor]:
        return {"loss": self.loss(encoder, head, batch)["loss"] / batch.counts["loss"]}


@attrs.frozen(eq=False, kw_only=True)
class _Listed(ScoredBatch):
    more: list[Tensor]


class TensorInAList(Denoising):
    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ScoredBatch:
        batch = super().collate(examples, progress=progress)
        values = {field.name: getattr(batch, field.name) for field in attrs.fields(ScoredBatch)}
        return _Listed(**values, more=[batch.targets])


class MaskNotAskedFor(Denoising):
    """Its error is the dict's own."""

    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        self._mask = vocabulary.special["mask"]
        super().__init__(config, vocabulary)


@attrs.define
class OpenConfig:
    context: bool = False


class WithOpenConfig(Denoising):
    Config = OpenConfig


WRONG: dict[type[Any], set[str]] = {
    MeanForSum: {"losses_add_up", "gradient_does_not_depend_on_the_split", "counts_are_predictions"},
    SharedGenerator: {
        "collate_is_pure",
        "losses_add_up",
        "order_does_not_matter",
        "gradient_does_not_depend_on_the_split",
        "four_examples_are_learned",
        "resume_is_exact",
    },
    GeneratorOfTheBatch: {"losses_add_up", "order_does_not_matter", "gradient_does_not_depend_on_the_split"},
    GlobalGenerator: {"collate_draws_from_examples_only"},
    GlobalMasks: {"collate_draws_from_examples_only", "workers_make_the_same_batches", "resume_is_exact"},
    TermLeftOut: {"odd_examples_are_survived"},
    TermNotDeclared: {"terms_agree"},
    CountsOfAllTokens: {"counts_are_predictions"},
    CountsOfFiller: {
        "losses_add_up",
        "counts_are_predictions",
        "gradient_does_not_depend_on_the_split",
    },
    NothingIsNotANumber: {"odd_examples_are_survived"},
    Unmasked: {"random_tokens_cannot_be_predicted"},
    NotShifted: {"random_tokens_cannot_be_predicted"},
    ContextPackedByItself: {"contexts_lie_beside_what_reads_them"},
    FutureVisible: {"attention_is_what_it_says"},
    IdleHeadLayer: {"every_head_parameter_learns"},
    TiedWeightInTheHead: {"head_stores_nothing_tied"},
    OddRole: {"head_roles_cover_the_head"},
    StateOutside: {"head_survives_saving", "resume_is_exact"},
    WritesInPlace: {"collate_is_pure"},
    ValidationLikeTraining: {"collate_is_pure"},
    MeasuresMeans: {"measure_agrees_with_loss"},
    TensorInAList: {"batches_move_as_a_whole"},
    MaskNotAskedFor: {"missing_tokens_are_told"},
    WithOpenConfig: {"config_is_closed"},
}
"""Wrong objective -> the checks that it fails: these, and no other."""
