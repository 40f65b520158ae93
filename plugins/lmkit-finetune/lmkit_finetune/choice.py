"""Objective "choice": which of several sequences is the right one (Radford et al. 2018, section 3.3; SWAG, 2018)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmkit.batch import Batch, Example, pack
from lmkit.errors import DataError
from lmkit.interfaces import Encoder
from lmkit_finetune.state import StateConfig, StateHead, StateObjective


@attrs.frozen(kw_only=True)
class ChoiceConfig(StateConfig):
    """How a sequence's states become its score."""


@attrs.frozen(eq=False, kw_only=True)
class ChoiceBatch(Batch):
    """Examples of several sequences each, and which one is right."""

    examples: Tensor
    """[S] int64 number of the example that a sequence belongs to."""
    places: Tensor
    """[S] int64 number of a sequence among those of its example."""
    most: int
    """Sequences of the example that has most."""
    targets: Tensor
    """[N] int64 place of each example's right one."""


class ChoiceHead(StateHead):
    """A sequence's state -> its score; without a bias, which would raise all scores of an example alike."""

    def __init__(self, encoder: Encoder, config: ChoiceConfig) -> None:
        super().__init__(encoder, 1, config, bias=False)


class Choice(StateObjective[ChoiceBatch]):
    """Which of an example's sequences is right; its target is the place of that one, from 0.

    Cross entropy over the sequences of an example, of which there may be any number.
    """

    name = "choice"
    Config = ChoiceConfig
    head_kind = "choice"

    def build_head(self, encoder: Encoder) -> ChoiceHead:
        return ChoiceHead(encoder, self.config)

    def collate(self, examples: Sequence[Example], *, progress: float | None) -> ChoiceBatch:
        for example in examples:
            if not isinstance(example.target, int) or not 0 <= example.target < len(example.lengths):
                wanted = f"a target from 0 to {len(example.lengths) - 1}"
                raise DataError(f"example {example.key}: wanted {wanted}, got {example.target!r:.40}")
        inputs, _ = pack([*apart(examples)], attention=self.attention, filler=self._filler)
        sizes = [len(example.lengths) for example in examples]
        return ChoiceBatch(
            inputs=inputs,
            counts={"choice": len(examples)},
            tokens=sum(len(e.tokens) for e in examples),
            examples=torch.from_numpy(np.repeat(np.arange(len(examples)), sizes)),
            most=max(sizes),
            places=torch.from_numpy(np.concatenate([np.arange(size) for size in sizes])),
            targets=torch.tensor([example.target for example in examples]),
        )

    def loss(self, encoder: Encoder, head: nn.Module, batch: ChoiceBatch) -> dict[str, Tensor]:
        return {"choice": F.cross_entropy(_scores(encoder, head, batch), batch.targets, reduction="sum")}

    def measure(self, encoder: Encoder, head: nn.Module, batch: ChoiceBatch) -> dict[str, Tensor]:
        """The loss, and "choice.accuracy": examples whose right sequence has the highest score."""
        scores = _scores(encoder, head, batch)
        right = (scores.argmax(-1) == batch.targets).float()
        return {
            "choice": F.cross_entropy(scores, batch.targets, reduction="sum"),
            "choice.accuracy": right.sum(),
        }


def apart(examples: Iterable[Example]) -> Iterator[Example]:
    """Each sequence of `examples` as an example of its own, for rows no longer than the longest of them."""
    for example in examples:
        segments = example.segments if example.segments is not None else np.zeros(len(example.tokens), np.int64)
        cuts = np.cumsum(example.lengths)[:-1]
        for ids, own in zip(np.split(example.tokens, cuts), np.split(segments, cuts), strict=True):
            yield Example(tokens=ids, lengths=(len(ids),), segments=own)


def _scores(encoder: Encoder, head: nn.Module, batch: ChoiceBatch) -> Tensor:
    """[N, most] scores of each example's sequences; minus infinity where it has fewer than another."""
    found: Tensor = head(encoder, batch.inputs).float()[:, 0]
    table = found.new_full((len(batch.targets), batch.most), float("-inf"))
    return table.index_put((batch.examples, batch.places), found)
