"""What travels: an Example becomes part of a Packed, a Packed rides in a Batch.

    Example (numpy, one block or one row) --Objective.collate--> Batch(inputs=Packed, counts, ...) --engine--> Model

Letters in shape comments: T tokens of the batch, R rows, S real sequences.  T = R * row_tokens and no sequence crosses
a row, so the same memory is a flat stream (variable-length kernels) and a rectangle (CPU, torch.compile) at no cost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Self

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Attention = Literal["bidirectional", "causal", "mixed"]
IntArray = npt.NDArray[np.integer[Any]]


@attrs.frozen(eq=False, kw_only=True)
class Example:
    """One item before the objective touched it: a block of text, or a row of a task."""

    tokens: IntArray
    """[n] token ids, special tokens included."""
    lengths: tuple[int, ...]
    """Lengths of the sequences inside, in order; they sum to n."""
    segments: IntArray | None = None
    """[n] 0 for a first text, 1 for a second; None where there is only one."""
    target: Any = None
    """What the task wants: a class, tags, a span, target ids."""
    extra: Any = None
    """Carried untouched from `Task.examples` to `Task.predict`."""
    key: tuple[int, ...] = (0,)
    """Who it is: (seed, epoch, index). All its randomness comes from here."""
    capacity: int = 0
    """Tokens of the row it is to fill alone; 0: as many as it has, and it may share a row."""

    def rng(self) -> np.random.Generator:
        """A generator that depends on the example alone: not on batch, worker, rank or restarts."""
        return np.random.default_rng(self.key)


class Cache(ABC):
    """What an encoder remembers of the tokens it has read, so that generation reads each token once."""

    @abstractmethod
    def select(self, rows: Tensor) -> Cache:
        """A cache of these rows only, in this order (`rows`: [K] indices; repeats allowed)."""


@attrs.frozen(eq=False, kw_only=True)
class Packed:
    """Sequences laid end to end; what is left of a row is one filler sequence that only sees itself."""

    tokens: Tensor
    """[T] int64 token ids."""
    positions: Tensor
    """[T] position of each token within its own sequence; 0 of filler."""
    documents: Tensor
    """[T] number of each token's sequence within its row, from 0; filler has the number behind the last."""
    cu_seqlens: Tensor
    """[N + 1] int32 borders of all sequences, filler included; padded with T to a round length."""
    max_seqlen: int
    """No sequence is longer than this."""
    row_tokens: int
    """Tokens of a row."""
    first: Tensor
    """[S] index of the first token of each real sequence, in the order of the examples."""
    last: Tensor
    """[S] index of the last token of each real sequence."""
    attention: Attention
    """Who sees whom within a sequence; "mixed" reads `reach`."""
    reach: Tensor | None = None
    """[T] last position that a token sees in its own sequence, for "mixed"."""
    segments: Tensor | None = None
    """[T] 0 for a first text, 1 for a second."""
    context: Packed | None = None
    """What a decoder reads across: sequence i reads the context's sequence i, which lies in a row of the same number,
    and has the same number in `documents`."""
    cache: Cache | None = None
    """Generation: forward reads earlier tokens from it and adds its own. One sequence a row, from the row's start."""

    @property
    def rows(self) -> int:
        return self.tokens.numel() // self.row_tokens

    def with_tokens(self, tokens: Tensor) -> Self:
        """The same sequences with other tokens [T] in their places; a step that the engine compiles may call it."""
        return attrs.evolve(self, tokens=tokens)

    def to(self, device: torch.device | str) -> Self:
        return attrs.evolve(self, **_moved(self, device))


@attrs.frozen(eq=False, kw_only=True)
class Batch:
    """What an objective hands to its own loss; subclass it to add targets."""

    inputs: Packed
    """What the encoder reads."""
    counts: Mapping[str, int]
    """Predictions per loss term: the denominators. Known on the host before the forward pass."""
    tokens: int
    """Tokens without filler."""

    def asked(self) -> Iterator[tuple[int, int]]:
        """Places among the T tokens and the ids to predict there, for people to look at; none where it is no token."""
        yield from ()

    def to(self, device: torch.device | str) -> Self:
        """The same batch with every tensor on `device`."""
        return attrs.evolve(self, **_moved(self, device))


def _moved(item: Packed | Batch, device: torch.device | str) -> dict[str, Any]:
    values = ((field.name, getattr(item, field.name)) for field in attrs.fields(type(item)))
    return {name: value.to(device) for name, value in values if isinstance(value, (Tensor, Packed))}


def pack(
    examples: Sequence[Example],
    *,
    attention: Attention,
    filler: int,
    reach: Sequence[IntArray] | None = None,
    contexts: Sequence[Example] | None = None,
) -> tuple[Packed, npt.NDArray[np.int64]]:
    """Lay examples into rows, the longest first, each into the first row that has room.

    Returns the Packed and [len(examples)] where each example's first token lies in it.  `filler` is the id that fills
    what is left; `reach` has, for each example, [n] the last position that each token sees ("mixed").  `contexts` has,
    for each example, what its sequences read across, one each: the Packed's context, of as many rows.
    Rows are as long as the longest example (or its capacity), rounded up to 8 where examples name no capacity.
    """
    sides = [examples] if contexts is None else [examples, contexts]
    lengths = [_row_tokens(side) for side in sides]
    starts, rows = _first_fit(sides, lengths)
    packed = _laid(examples, starts[0], rows, lengths[0], attention=attention, filler=filler, reach=reach)
    if contexts is not None:
        context = _laid(contexts, starts[1], rows, lengths[1], attention="bidirectional", filler=filler, reach=None)
        packed = attrs.evolve(packed, context=context)
    return packed, starts[0]


def _row_tokens(examples: Sequence[Example]) -> int:
    longest = max(max(e.capacity, len(e.tokens)) for e in examples)
    return longest if any(e.capacity for e in examples) else longest + -longest % 8


def _laid(
    examples: Sequence[Example],
    starts: npt.NDArray[np.int64],
    rows: int,
    row_tokens: int,
    *,
    attention: Attention,
    filler: int,
    reach: Sequence[IntArray] | None,
) -> Packed:
    total = rows * row_tokens
    tokens = np.full(total, filler, np.int64)
    reaches = np.zeros(total, np.int64) if reach is not None else None
    segmented = any(e.segments is not None for e in examples)
    segments = np.zeros(total, np.int64) if segmented else None
    for number, (example, start) in enumerate(zip(examples, starts, strict=True)):
        stop = start + len(example.tokens)
        tokens[start:stop] = example.tokens
        if segments is not None and example.segments is not None:
            segments[start:stop] = example.segments
        if reaches is not None and reach is not None:
            reaches[start:stop] = reach[number]

    lengths = np.array([n for e in examples for n in e.lengths], np.int64)
    within = [np.cumsum((0, *e.lengths[:-1])) for e in examples]
    first = np.concatenate([start + offsets for start, offsets in zip(starts, within, strict=True)])
    borders = _borders(first, lengths, total, row_tokens)
    spans = np.diff(borders)
    sequence = np.repeat(np.arange(len(spans)), spans)  # [T] which sequence a token belongs to
    real = np.zeros(total, bool)
    for start, length in zip(first, lengths, strict=True):
        real[start : start + length] = True
    # A row of several sequences may be longer than an encoder has positions for; what fills it needs none.
    positions = np.where(real, np.arange(total) - borders[:-1][sequence], 0)
    room = 1 << len(borders).bit_length()  # a round length, so that compiled code sees few shapes
    cu_seqlens = np.full(room, total, np.int32)
    cu_seqlens[: len(borders)] = borders
    if reaches is not None:  # filler sees itself, all of it
        reaches[~real] = row_tokens
    return Packed(
        tokens=torch.from_numpy(tokens),
        positions=torch.from_numpy(positions),
        documents=torch.from_numpy(_numbers(real[borders[:-1]], borders[:-1] // row_tokens, rows)[sequence]),
        cu_seqlens=torch.from_numpy(cu_seqlens),
        max_seqlen=row_tokens,
        row_tokens=row_tokens,
        first=torch.from_numpy(first),
        last=torch.from_numpy(first + lengths - 1),
        attention=attention,
        reach=None if reaches is None else torch.from_numpy(reaches),
        segments=None if segments is None else torch.from_numpy(segments),
    )


def _numbers(real: npt.NDArray[np.bool_], row: npt.NDArray[np.int64], rows: int) -> npt.NDArray[np.int64]:
    """[N] each sequence's number among the real ones of its row; filler has the one that is next, wherever it lies."""
    count = np.bincount(row[real], minlength=rows)
    before = np.cumsum(count) - count
    return np.where(real, np.cumsum(real) - 1 - before[row], count[row])


def _first_fit(
    sides: Sequence[Sequence[Example]], row_tokens: Sequence[int]
) -> tuple[list[npt.NDArray[np.int64]], int]:
    """Where each example begins on each side, and how many rows there are; its sides lie in rows of one number."""
    rooms = np.array([[e.capacity or len(e.tokens) for e in side] for side in sides], np.int64).T
    most = np.array(row_tokens)
    used = np.zeros_like(rooms)  # tokens taken in each row, of each side; at most there is a row for each example
    starts = np.empty_like(rooms)
    rows = 0
    for number in np.argsort(-(rooms / most).max(1), kind="stable").tolist():
        row = int((used[: rows + 1] + rooms[number] <= most).all(1).argmax())  # the next one is empty
        starts[number] = row * most + used[row]
        used[row] += rooms[number]
        rows = max(rows, row + 1)
    return list(starts.T), rows


def _borders(
    first: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], total: int, row_tokens: int
) -> npt.NDArray[np.int64]:
    """Borders of all sequences: the real ones, and the filler after and between them, cut at row ends."""
    marks = np.concatenate([first, first + lengths, np.arange(0, total + 1, row_tokens)])
    return np.unique(marks)
