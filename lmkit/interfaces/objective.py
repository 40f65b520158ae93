"""Objective: says what to predict. It corrupts examples into batches, builds its head, and SUMS its loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor, nn

from lmkit.batch import Attention, Batch, Example
from lmkit.interfaces.encoder import Encoder
from lmkit.interfaces.tokenizer import Vocabulary

Its = TypeVar("Its", bound=Batch)


class Objective(ABC, Generic[Its]):
    """Says what to predict; made of a config and a vocabulary only, so that it travels to data workers.

    `Objective[MyBatch]` says which kind of Batch its `collate` makes and its `loss` reads.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Any]]
    """A closed attrs class, each field with a sentence."""
    state_version: ClassVar[int] = 1
    """Raised when the head's weights change their names or meaning."""
    formerly: ClassVar[tuple[str, ...]] = ()
    """Names that it had before, "distribution:name" where it was another's: what was saved under them is found."""
    head_kind: ClassVar[str]
    """What is predicted where, by which tasks find it: "token" (at the position itself), "next-token", "seq2seq",
    "masked-next-token" (both of the former), "classify", "regress", "tag", "span", "choice", or a name of your own."""
    attention: Attention
    """What it needs of an encoder: of the class, or of an instance whose config decides."""
    needs_context: ClassVar[bool] = False
    """Whether its batches carry a second Packed for the encoder to read across."""
    tokenizer_fields: ClassVar[Mapping[str, Any]] = {}
    """Fields of a tokenizer's Config by which a new one gets the special tokens that it needs, where it has them."""
    pools: bool = False
    """Whether its loss uses `Encoder.pool`; where not, the encoder's pooler is frozen."""

    @abstractmethod
    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        """Raises FitError where the vocabulary lacks a special token that it needs."""

    @property
    @abstractmethod
    def weights(self) -> Mapping[str, float]:
        """Each loss term and its weight; at least one."""

    @abstractmethod
    def build_head(self, encoder: Encoder) -> nn.Module:
        """The head for `encoder`, with fresh weights; what is tied to the encoder is not stored in it."""

    @abstractmethod
    def collate(self, examples: Sequence[Example], *, progress: float | None) -> Its:
        """One batch of `examples`; ALL randomness happens here, from each example's own `rng()`.

        `progress` is the share of the training budget that is spent, from 0 to 1; None: validation, at fixed rates.
        The same examples give the same batch; what happens to one does not depend on its neighbours.
        """

    @abstractmethod
    def loss(self, encoder: Encoder, head: nn.Module, batch: Its) -> dict[str, Tensor]:
        """One SUM for each term of `weights`, never a mean, zero where the batch has nothing of it."""

    def measure(self, encoder: Encoder, head: nn.Module, batch: Its) -> dict[str, Tensor]:
        """Sums for validation: each term's loss, and more as "term.what" (such as "mlm.accuracy").

        Each is divided by the count of the term before its dot.
        """
        return self.loss(encoder, head, batch)

    def head_roles(self, head: nn.Module) -> Mapping[str, str]:
        """Head parameter -> "head" or "scalar": heads go to AdamW, scalars are not decayed.

        Matrices of a network within the head may be "hidden" or "hidden/N", as an encoder's are.
        """
        return {name: "head" if p.ndim >= 2 else "scalar" for name, p in head.named_parameters()}
