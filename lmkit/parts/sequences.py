"""Sequences that grow token by token, many at once: each token is read once where the encoder has a cache.

Without one every step reads all tokens again: the same tokens, in time that grows with the square of the length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lmkit.batch import Example, Packed, pack
from lmkit.interfaces import Encoder
from lmkit.parts.inference import exact_inference


class Sequences:
    """Begins as `prompts`, each [n >= 1] ids; none may grow beyond `capacity` tokens.

    `contexts`, where given, are what a decoder reads across: each [m >= 1] ids, one for each prompt.
    """

    def __init__(
        self,
        encoder: Encoder,
        head: nn.Module,
        prompts: Sequence[npt.NDArray[Any]],
        capacity: int,
        contexts: Sequence[npt.NDArray[Any]] = (),
    ) -> None:
        self._encoder, self._head = encoder, head
        self.ids = [[int(token) for token in prompt] for prompt in prompts]
        """Of each sequence, its prompt included."""
        mixed = getattr(head, "attention", None) == "mixed"
        self._whole = [len(prompt) if mixed else 0 for prompt in prompts]  # tokens that see each other, of each
        self._contexts = list(contexts)
        self._cache = encoder.new_cache(len(prompts), capacity) if prompts else None
        self._cache_is_filled = False

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def device(self) -> torch.device:
        """Where the encoder is."""
        return self._encoder.token_embedding.weight.device

    def logits(self) -> Tensor:
        """[K, vocabulary] float32 scores of each sequence's next token; ask once for each token that is appended."""
        inputs = (self._newest_tokens() if self._cache_is_filled else self._all_tokens()).to(self.device)
        with exact_inference(self._encoder, self._head):
            hidden = self._encoder(inputs)
            self._cache_is_filled = self._cache is not None
            logits: Tensor = self._head(hidden[inputs.last], self._encoder.token_embedding.weight).float()
            return logits

    def append(self, tokens: Sequence[int]) -> None:
        """One token for each sequence."""
        for ids, token in zip(self.ids, tokens, strict=True):
            ids.append(token)

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these sequences only, in this order; repeats allowed."""
        if list(rows) == list(range(len(self.ids))):
            return
        self.ids = [list(self.ids[row]) for row in rows]
        self._whole = [self._whole[row] for row in rows]
        self._contexts = [self._contexts[row] for row in rows] if self._contexts else []
        if self._cache is not None and rows:
            with torch.inference_mode():
                self._cache = self._cache.select(torch.tensor(rows, device=self.device))

    def _all_tokens(self) -> Packed:
        """Every sequence from its start, one a row."""
        sequences = [np.array(ids) for ids in self.ids]
        room = max(map(len, sequences))
        examples = [Example(tokens=s, lengths=(len(s),), capacity=room) for s in sequences]
        reach = [np.maximum(np.arange(len(s)), n - 1) for s, n in zip(sequences, self._whole, strict=True)]
        mixed = any(self._whole)
        packed, _ = pack(
            examples,
            attention="mixed" if mixed else "causal",
            filler=0,
            reach=reach if mixed else None,
            contexts=[Example(tokens=ids, lengths=(len(ids),)) for ids in self._contexts] or None,
        )
        return attrs.evolve(packed, cache=self._cache)

    def _newest_tokens(self) -> Packed:
        """The token of each sequence that the cache has not read."""
        count = len(self.ids)
        each = torch.arange(count)
        return Packed(
            tokens=torch.tensor([ids[-1] for ids in self.ids]),
            positions=torch.tensor([len(ids) - 1 for ids in self.ids]),
            documents=torch.zeros(count, dtype=torch.int64),
            cu_seqlens=torch.arange(count + 1, dtype=torch.int32),
            max_seqlen=1,
            row_tokens=1,
            first=each,
            last=each,
            attention="causal",
            cache=self._cache,
        )
