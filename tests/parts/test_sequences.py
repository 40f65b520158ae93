"""Growing sequences: whatever was selected and appended, the next token's scores are those of a fresh reading."""

import numpy as np
import torch
from lmkit_gpt.gpt2 import Gpt2

from lmkit.parts.heads import VocabularyHead
from lmkit.parts.sequences import Sequences
from lmkit.testing.reference import ByteTokenizer

VOCABULARY = ByteTokenizer(ByteTokenizer.Config()).vocabulary


class Uncached(Gpt2):
    def new_cache(self, sequences: int, capacity: int) -> None:
        return None


def test_scores_after_selections_are_those_of_a_fresh_reading() -> None:
    torch.manual_seed(1)
    encoders = Gpt2(Gpt2.Config(layers=2, width=32, heads=2), VOCABULARY), Uncached(Gpt2.Config(layers=1), VOCABULARY)
    for encoder in encoders:
        head = VocabularyHead(encoder)
        prompts = [np.array([20, 21, 22]), np.array([30]), np.array([40, 41])]
        sequences = Sequences(encoder, head, prompts, capacity=8)
        sequences.logits()
        for rows, tokens in (([2, 0, 2, 1], [50, 51, 52, 53]), ([3, 2, 2], [60, 61, 62]), ([0, 1, 2], [70, 71, 72])):
            sequences.select(rows)
            sequences.append(tokens)
            found = sequences.logits()
            fresh = Sequences(encoder, head, [np.array(ids) for ids in sequences.ids], capacity=8).logits()
            assert torch.allclose(found, fresh, atol=1e-5)
        assert sequences.ids == [[30, 53, 60, 70], [40, 41, 52, 61, 71], [40, 41, 52, 62, 72]]
        sequences.select([])
        assert len(sequences) == 0
